//! Driver `k8s-cluster`: says how a cluster is reached. It makes nothing; it
//! checks the definition and passes references to granted secrets on.
//!
//! | inputs | output `mode` | other outputs |
//! | --- | --- | --- |
//! | `kubeconfig_secret: NAME` | `kubeconfig` | `kubeconfig` |
//! | `server`, `token_secret: NAME`, `ca_data?` | `token` | `server`, `kubeconfig` |
//! | `in_cluster: true` | `in-cluster` | |
//!
//! `NAME` is the name that the operator's grant gives the secret. `kubeconfig`
//! holds a reference, or a whole kubeconfig with a reference inside: who uses it
//! need not care. This plugin never sees a value.

use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::{Fault, Host, Ignored, Secret, export_driver};
use serde::Deserialize;
use serde_json::{Map, Value, json};

struct Cluster;

export_driver!(Cluster);

/// What the platform's definition says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Inputs {
    kubeconfig_secret: Option<String>,
    server: Option<String>,
    ca_data: Option<String>,
    token_secret: Option<String>,
    in_cluster: bool,
}

/// One of the ways to reach a cluster.
enum Access<'a> {
    Kubeconfig { secret: &'a str },
    Token { server: &'a str, ca_data: Option<&'a str>, secret: &'a str },
    InCluster,
}

impl Driver for Cluster {
    type Params = Ignored;
    type Inputs = Inputs;
    type State = ();

    fn plan(request: &Request<Self>, host: &impl Host) -> Result<Planned, Fault> {
        let mut planned = Planned::new(Action::None);
        planned.outputs = outputs(&request.inputs, host)?;
        Ok(planned)
    }

    fn provision(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<()>, Fault> {
        let mut provisioned = Provisioned::new(());
        provisioned.outputs = outputs(&request.inputs, host)?;
        Ok(provisioned.into())
    }

    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        Ok(Some(outputs(&request.inputs, host)?.into()))
    }

    fn destroy(_: &Request<Self>, _: Option<&str>, _: &impl Host) -> Result<Removal, Fault> {
        Ok(Removal::Done)
    }
}

fn access(inputs: &Inputs) -> Result<Access<'_>, Fault> {
    match inputs {
        Inputs {
            kubeconfig_secret: Some(secret),
            server: None,
            ca_data: None,
            token_secret: None,
            in_cluster: false,
        } => Ok(Access::Kubeconfig { secret }),
        Inputs {
            kubeconfig_secret: None,
            server: Some(server),
            ca_data,
            token_secret: Some(secret),
            in_cluster: false,
        } => Ok(Access::Token { server, ca_data: ca_data.as_deref(), secret }),
        Inputs {
            kubeconfig_secret: None,
            server: None,
            ca_data: None,
            token_secret: None,
            in_cluster: true,
        } => Ok(Access::InCluster),
        _ => Err(Fault::invalid(
            "/inputs",
            "either kubeconfig_secret, or server with token_secret, or in_cluster: true",
        )),
    }
}

fn outputs(inputs: &Inputs, host: &impl Host) -> Result<Map<String, Value>, Fault> {
    let outputs = match access(inputs)? {
        Access::Kubeconfig { secret } => {
            let reference = host.open_secret(secret)?.reference();
            json!({"mode": "kubeconfig", "kubeconfig": reference})
        }
        Access::Token { server, ca_data, secret } => {
            // A token that goes over the wire in the clear is no secret.
            if !server.starts_with("https://") {
                return Err(Fault::invalid("/inputs/server", "an https URL"));
            }
            let token = host.open_secret(secret)?.reference();
            let kubeconfig = kubeconfig(server, ca_data, &token);
            json!({"mode": "token", "server": server, "kubeconfig": kubeconfig})
        }
        Access::InCluster => json!({"mode": "in-cluster"}),
    };
    Ok(match outputs {
        Value::Object(outputs) => outputs,
        _ => Map::new(),
    })
}

/// A kubeconfig file; JSON is YAML too.
fn kubeconfig(server: &str, ca_data: Option<&str>, token: &str) -> String {
    let cluster = match ca_data {
        Some(ca) => json!({"server": server, "certificate-authority-data": ca}),
        None => json!({"server": server}),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "deployd", "user": {"token": token}}],
        "contexts": [{"name": "deployd", "context": {"cluster": "cluster", "user": "deployd"}}],
        "current-context": "deployd",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_plugin_sdk::secret;
    use deployd_plugin_sdk::testing::{self, FakeHost};

    fn provision(inputs: &Value) -> Result<Map<String, Value>, Fault> {
        let host = FakeHost::new()
            .grant_secret("prod-kubeconfig", "VALUE")
            .grant_secret("prod-token", "VALUE");
        let request = testing::request::<Cluster>(&json!({}), inputs)?;
        match Cluster::provision(&request, None, &host)? {
            Progress::Done(provisioned) => Ok(provisioned.outputs),
            Progress::Pending(_) => panic!("nothing to wait for"),
        }
    }

    #[test]
    fn a_kubeconfig_is_passed_on_as_a_reference() {
        let outputs = provision(&json!({"kubeconfig_secret": "prod-kubeconfig"})).unwrap();
        assert_eq!(outputs["mode"], "kubeconfig");
        assert_eq!(outputs["kubeconfig"], "⟦secret:granted/prod-kubeconfig⟧");
    }

    #[test]
    fn a_token_goes_into_a_kubeconfig_as_a_reference() {
        let inputs =
            json!({"server": "https://k:6443", "ca_data": "Q0E=", "token_secret": "prod-token"});
        let outputs = provision(&inputs).unwrap();
        let text = outputs["kubeconfig"].as_str().unwrap();
        assert!(secret::contains_reference(text) && !text.contains("VALUE"));
        let config: Value = serde_json::from_str(text).unwrap();
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://k:6443");
    }

    #[test]
    fn in_cluster_needs_no_secret() {
        let outputs = provision(&json!({"in_cluster": true})).unwrap();
        assert_eq!(Value::Object(outputs), json!({"mode": "in-cluster"}));
    }

    #[test]
    fn a_secret_that_is_not_granted_is_denied() {
        let fault = provision(&json!({"kubeconfig_secret": "other"})).unwrap_err();
        assert!(matches!(fault, Fault::Denied(_)));
    }

    #[test]
    fn mixed_and_half_ways_are_refused() {
        for inputs in [
            json!({}),
            json!({"server": "https://k"}),
            json!({"in_cluster": true, "kubeconfig_secret": "prod-kubeconfig"}),
            json!({"server": "http://k", "token_secret": "prod-token"}),
        ] {
            let fault = provision(&inputs).unwrap_err();
            assert!(matches!(fault, Fault::Invalid(_)), "{inputs}: {fault}");
        }
    }
}
