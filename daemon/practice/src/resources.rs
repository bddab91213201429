//! The resources the cluster serves: the built-in ones and those of custom
//! resource definitions.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::json;
use crate::schema::{Type, from_open_api};
use crate::status::Named;

/// Verbs of an ordinary resource.
pub(crate) const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The built-in resources: group, version, plural, singular, kind, scope
/// (`n` or `c`), short names, categories, subresources.
const BUILT_IN: &str = "
- v1 bindings binding Binding n - - -
- v1 configmaps configmap ConfigMap n cm - -
- v1 endpoints endpoints Endpoints n ep - -
- v1 events event Event n ev - -
- v1 limitranges limitrange LimitRange n limits - -
- v1 namespaces namespace Namespace c ns - status,finalize
- v1 nodes node Node c no - status
- v1 persistentvolumeclaims persistentvolumeclaim PersistentVolumeClaim n pvc - status
- v1 persistentvolumes persistentvolume PersistentVolume c pv - status
- v1 pods pod Pod n po all status,log,eviction,binding
- v1 podtemplates podtemplate PodTemplate n - - -
- v1 replicationcontrollers replicationcontroller ReplicationController n rc all status,scale
- v1 resourcequotas resourcequota ResourceQuota n quota - status
- v1 secrets secret Secret n - - -
- v1 serviceaccounts serviceaccount ServiceAccount n sa - token
- v1 services service Service n svc all status
apiextensions.k8s.io v1 customresourcedefinitions customresourcedefinition CustomResourceDefinition c crd,crds api-extensions status
apps v1 controllerrevisions controllerrevision ControllerRevision n - - -
apps v1 daemonsets daemonset DaemonSet n ds all status
apps v1 deployments deployment Deployment n deploy all status,scale
apps v1 replicasets replicaset ReplicaSet n rs all status,scale
apps v1 statefulsets statefulset StatefulSet n sts all status,scale
admissionregistration.k8s.io v1 mutatingwebhookconfigurations mutatingwebhookconfiguration MutatingWebhookConfiguration c - api-extensions -
admissionregistration.k8s.io v1 validatingwebhookconfigurations validatingwebhookconfiguration ValidatingWebhookConfiguration c - api-extensions -
authentication.k8s.io v1 selfsubjectreviews selfsubjectreview SelfSubjectReview c - - -
authentication.k8s.io v1 tokenreviews tokenreview TokenReview c - - -
authorization.k8s.io v1 localsubjectaccessreviews localsubjectaccessreview LocalSubjectAccessReview n - - -
authorization.k8s.io v1 selfsubjectaccessreviews selfsubjectaccessreview SelfSubjectAccessReview c - - -
authorization.k8s.io v1 selfsubjectrulesreviews selfsubjectrulesreview SelfSubjectRulesReview c - - -
authorization.k8s.io v1 subjectaccessreviews subjectaccessreview SubjectAccessReview c - - -
autoscaling v2 horizontalpodautoscalers horizontalpodautoscaler HorizontalPodAutoscaler n hpa all status
batch v1 cronjobs cronjob CronJob n cj all status
batch v1 jobs job Job n - all status
coordination.k8s.io v1 leases lease Lease n - - -
discovery.k8s.io v1 endpointslices endpointslice EndpointSlice n - - -
networking.k8s.io v1 ingressclasses ingressclass IngressClass c - - -
networking.k8s.io v1 ingresses ingress Ingress n ing - status
networking.k8s.io v1 networkpolicies networkpolicy NetworkPolicy n netpol - -
node.k8s.io v1 runtimeclasses runtimeclass RuntimeClass c - - -
policy v1 poddisruptionbudgets poddisruptionbudget PodDisruptionBudget n pdb - status
rbac.authorization.k8s.io v1 clusterrolebindings clusterrolebinding ClusterRoleBinding c - - -
rbac.authorization.k8s.io v1 clusterroles clusterrole ClusterRole c - - -
rbac.authorization.k8s.io v1 rolebindings rolebinding RoleBinding n - - -
rbac.authorization.k8s.io v1 roles role Role n - - -
scheduling.k8s.io v1 priorityclasses priorityclass PriorityClass c pc - -
storage.k8s.io v1 storageclasses storageclass StorageClass c sc - -
";

/// Resources that are only ever created, and not kept.
const QUESTIONS: [&str; 7] = [
    "bindings",
    "localsubjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "subjectaccessreviews",
    "tokenreviews",
];

/// Where the replicas of a custom resource are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScalePaths {
    /// JSON path of the wanted count.
    pub(crate) spec: String,
    /// JSON path of the actual count.
    pub(crate) status: String,
    /// JSON path of the selector's text.
    pub(crate) selector: String,
}

/// A resource in one version.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    /// API group, empty for core.
    pub(crate) group: String,
    /// API version.
    pub(crate) version: String,
    /// Plural.
    pub(crate) plural: String,
    /// Singular.
    pub(crate) singular: String,
    /// Kind.
    pub(crate) kind: String,
    /// Kind of its lists.
    pub(crate) list_kind: String,
    /// Objects live in namespaces.
    pub(crate) namespaced: bool,
    /// Short names.
    pub(crate) short_names: Vec<String>,
    /// Categories such as `all`.
    pub(crate) categories: Vec<String>,
    /// Subresources such as `status`.
    pub(crate) subresources: Vec<String>,
    /// What its objects look like.
    pub(crate) ty: Type,
    /// Where objects are stored: plural and group.
    pub(crate) storage: Arc<str>,
    /// Not of a custom resource definition.
    pub(crate) builtin: bool,
    /// Replicas of a custom resource.
    pub(crate) scale: Option<ScalePaths>,
    /// Columns of a table, for custom resources.
    pub(crate) columns: Vec<Value>,
    /// The schema of a custom resource, as it was written.
    pub(crate) schema: Option<Arc<Value>>,
}

impl Resource {
    /// `apps/v1`, or `v1` for core.
    pub(crate) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The resource as errors name it.
    pub(crate) fn named(&self) -> Named<'_> {
        Named { group: &self.group, resource: &self.plural, kind: &self.kind }
    }

    /// Whether the subresource exists.
    pub(crate) fn has(&self, subresource: &str) -> bool {
        self.subresources.iter().any(|known| known == subresource)
    }

    /// Whether its objects are answers to questions and not kept.
    pub(crate) fn is_question(&self) -> bool {
        self.builtin && QUESTIONS.contains(&self.plural.as_str())
    }

    /// The verbs that discovery tells.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        const CREATE: [&str; 1] = ["create"];
        if self.is_question() { &CREATE } else { &VERBS }
    }
}

/// All resources.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    builtin: Vec<Arc<Resource>>,
    custom: HashMap<String, Vec<Arc<Resource>>>,
}

impl Registry {
    /// The built-in resources.
    pub(crate) fn new() -> Self {
        Self {
            builtin: BUILT_IN.lines().filter_map(built_in).map(Arc::new).collect(),
            custom: HashMap::new(),
        }
    }

    /// Every resource: built-in first, custom ones in order.
    pub(crate) fn all(&self) -> Vec<Arc<Resource>> {
        let mut custom: Vec<_> = self.custom.values().flatten().cloned().collect();
        custom.sort_by(|a, b| {
            (&a.group, &a.version, &a.plural).cmp(&(&b.group, &b.version, &b.plural))
        });
        self.builtin.iter().cloned().chain(custom).collect()
    }

    /// A resource by group, version and plural.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let fits =
            |r: &&Arc<Resource>| r.group == group && r.version == version && r.plural == plural;
        self.builtin
            .iter()
            .find(fits)
            .or_else(|| self.custom.values().flatten().find(fits))
            .cloned()
    }

    /// A resource by where it is stored, in any version.
    pub(crate) fn stored_as(&self, storage: &str) -> Option<Arc<Resource>> {
        self.builtin
            .iter()
            .chain(self.custom.values().flatten())
            .find(|resource| &*resource.storage == storage)
            .cloned()
    }

    /// Serves the resources of an established definition.
    pub(crate) fn define(&mut self, definition: &Value) {
        let found = custom(definition).into_iter().map(Arc::new).collect();
        self.custom.insert(json::name(definition).to_owned(), found);
    }

    /// Serves the resources of a definition no longer.
    pub(crate) fn forget(&mut self, definition: &str) {
        self.custom.remove(definition);
    }
}

fn built_in(line: &str) -> Option<Resource> {
    let mut words = line.split_ascii_whitespace();
    let mut next = || words.next().map(|word| if word == "-" { "" } else { word });
    let (group, version, plural, singular, kind) = (next()?, next()?, next()?, next()?, next()?);
    let (scope, short, categories, subresources) = (next()?, next()?, next()?, next()?);
    let list = |text: &str| -> Vec<String> {
        text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let ty =
        crate::schema::builtin_names().find(|name| *name == kind).map_or(Type::Any, Type::Named);
    Some(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        singular: singular.to_owned(),
        kind: kind.to_owned(),
        list_kind: if kind == "Endpoints" {
            "EndpointsList".to_owned()
        } else {
            format!("{kind}List")
        },
        namespaced: scope == "n",
        short_names: list(short),
        categories: list(categories),
        subresources: list(subresources),
        ty,
        storage: storage(group, plural),
        builtin: true,
        scale: None,
        columns: Vec::new(),
        schema: None,
    })
}

/// Where the objects of a resource are stored.
pub(crate) fn storage(group: &str, plural: &str) -> Arc<str> {
    match group {
        "" => plural.into(),
        group => format!("{plural}.{group}").into(),
    }
}

fn custom(definition: &Value) -> Vec<Resource> {
    let texts = |pointer: &str| -> Vec<String> {
        json::items(definition, pointer)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let group = json::text(definition, "/spec/group");
    let plural = json::text(definition, "/spec/names/plural");
    let kind = json::text(definition, "/spec/names/kind");
    let served = json::items(definition, "/spec/versions")
        .iter()
        .filter(|version| json::flag(version, "/served"));
    served
        .map(|version| {
            let mut subresources = Vec::new();
            if version.pointer("/subresources/status").is_some() {
                subresources.push("status".to_owned());
            }
            let scale = version.pointer("/subresources/scale").map(|scale| ScalePaths {
                spec: json::text(scale, "/specReplicasPath").to_owned(),
                status: json::text(scale, "/statusReplicasPath").to_owned(),
                selector: json::text(scale, "/labelSelectorPath").to_owned(),
            });
            if scale.is_some() {
                subresources.push("scale".to_owned());
            }
            let schema = version.pointer("/schema/openAPIV3Schema").unwrap_or(&Value::Null);
            Resource {
                group: group.to_owned(),
                version: json::text(version, "/name").to_owned(),
                plural: plural.to_owned(),
                singular: json::text(definition, "/spec/names/singular").to_owned(),
                kind: kind.to_owned(),
                list_kind: json::text(definition, "/spec/names/listKind").to_owned(),
                namespaced: json::text(definition, "/spec/scope") == "Namespaced",
                short_names: texts("/spec/names/shortNames"),
                categories: texts("/spec/names/categories"),
                subresources,
                ty: from_open_api(schema, kind),
                storage: storage(group, plural),
                builtin: false,
                scale,
                columns: json::items(version, "/additionalPrinterColumns").to_vec(),
                schema: version.pointer("/schema/openAPIV3Schema").cloned().map(Arc::new),
            }
        })
        .collect()
}
