//! Who asks, and what they may do.

mod roles;
mod rules;
mod tokens;

pub(crate) use roles::{bindings, cluster_roles};
pub(crate) use rules::{allowed, rules_in};
use serde_json::{Value, json};
pub(crate) use tokens::Tokens;

/// Whom the token of the kubeconfig stands for.
const ADMIN: &str = "practice-admin";

/// The group that may do everything.
const MASTERS: &str = "system:masters";

/// What every service account's user name begins with.
const ACCOUNT: &str = "system:serviceaccount:";

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: String,
    /// The uid, empty where there is none.
    pub(crate) uid: String,
    /// The groups.
    pub(crate) groups: Vec<String>,
}

impl User {
    /// Whom the kubeconfig stands for.
    pub(crate) fn admin() -> Self {
        Self {
            name: ADMIN.to_owned(),
            uid: String::new(),
            groups: vec![MASTERS.to_owned(), "system:authenticated".to_owned()],
        }
    }

    /// A service account.
    pub(crate) fn account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            name: format!("{ACCOUNT}{namespace}:{name}"),
            uid: uid.to_owned(),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    /// Nobody in particular.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            uid: String::new(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    /// Whom an administrator speaks as.
    pub(crate) fn impersonated(name: &str, uid: &str, groups: Vec<String>) -> Self {
        let mut user = match account_of(name) {
            Some((namespace, account)) if groups.is_empty() => {
                Self::account(namespace, account, uid)
            }
            _ => Self { name: name.to_owned(), uid: uid.to_owned(), groups },
        };
        if name != "system:anonymous" && !user.groups.iter().any(|g| g == "system:authenticated") {
            user.groups.push("system:authenticated".to_owned());
        }
        user
    }

    /// The user as reviews show one.
    pub(crate) fn to_json(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            crate::json::put(&mut info, &["uid"], self.uid.as_str());
        }
        info
    }
}

/// The namespace and name of a service account, from its user name.
pub(crate) fn account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(ACCOUNT)?.split_once(':')
}

/// What somebody wants to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Action {
    /// `get`, `list`, `create` and so on.
    pub(crate) verb: String,
    /// The namespace, empty for all of them and outside of them.
    pub(crate) namespace: String,
    /// The API group.
    pub(crate) group: String,
    /// The plural.
    pub(crate) resource: String,
    /// The subresource, empty for the object itself.
    pub(crate) subresource: String,
    /// The object, empty where there is no one.
    pub(crate) name: String,
    /// The path, where it is about no resource.
    pub(crate) path: Option<String>,
}

impl Action {
    /// The resource with its subresource, as rules name it.
    pub(crate) fn whole_resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            sub => format!("{}/{sub}", self.resource),
        }
    }

    /// Why a user may not.
    pub(crate) fn refusal(&self, user: &User) -> String {
        let (name, verb) = (&user.name, &self.verb);
        if let Some(path) = &self.path {
            return format!("User \"{name}\" cannot {verb} path \"{path}\"");
        }
        let place = match self.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        format!(
            "User \"{name}\" cannot {verb} resource \"{}\" in API group \"{}\" {place}",
            self.whole_resource(),
            self.group
        )
    }
}
