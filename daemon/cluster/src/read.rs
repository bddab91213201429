//! Objects as they are, for whoever knows what their kind means. A request each: who
//! asks wants one or a few.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::ObjectRef;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::client::Session;
use crate::faults::{self, Doing};
use crate::fields::{group_of, kind, text_or_empty};
use crate::request::Ask;

/// Each request is tried again for so long. Who reads looks again later.
const BUDGET: Duration = Duration::from_secs(3);

/// Where `kubectl apply` writes down all that it was given, values of Secrets included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Session {
    /// See [`Cluster::read`](deployd_core::ports::Cluster::read).
    pub(crate) async fn read(
        &self,
        namespace: &str,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<Value>>, Fault> {
        let looks: Vec<_> = objects.iter().map(|object| self.read_one(namespace, object)).collect();
        stream::iter(looks).buffered(self.options.parallel.max(1)).try_collect().await
    }

    async fn read_one(&self, namespace: &str, object: &ObjectRef) -> Result<Option<Value>, Fault> {
        let mut object = object.clone();
        object.namespace.get_or_insert_with(|| namespace.to_owned());
        let Some(resource) = self.resource(&object.api_version, &object.kind).await? else {
            return Ok(None);
        };
        match self.ask_within::<Value>(&Ask::get(resource.item(&object)), BUDGET).await {
            Ok(answer) => Ok(Some(without_values(answer.body))),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => {
                let doing = Doing { cluster: &self.cluster, verb: "read", object: Some(&object) };
                Err(faults::fault(&failure, doing))
            }
        }
    }
}

/// The object without the values of a Secret.
fn without_values(mut object: Value) -> Value {
    let is_secret =
        kind(&object) == "Secret" && group_of(text_or_empty(&object, "/apiVersion")).is_empty();
    if is_secret && let Some(fields) = object.as_object_mut() {
        fields.remove("data");
        fields.remove("stringData");
        let annotations = fields.get_mut("metadata").and_then(|it| it.get_mut("annotations"));
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    object
}
