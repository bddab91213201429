//! Driver `k8s-cluster`: says how a cluster is reached. It makes nothing.
//!
//! | inputs | output `mode` | what stands in `kubeconfig` |
//! | --- | --- | --- |
//! | `kubeconfig_secret: NAME` | `kubeconfig` | a reference to the granted secret |
//! | `server`, `token_secret: NAME` | `token` | a kubeconfig with a reference in it |
//! | `server`, `service_account` | `token` | a kubeconfig with a token of the account |
//! | `server`, `token_endpoint` | `token` | a kubeconfig with a token of the endpoint |
//! | `in_cluster: true` | `in-cluster` | |
//!
//! With `server` goes `ca_data`, base64 of PEM, unless a public authority signed its
//! certificate; with any, `name`, which messages call the cluster by.
//!
//! # Several clusters
//!
//! Each is a definition; its criteria say which environments are in it. The most
//! specific one wins: values of an environment before its type.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: ResourceDefinition
//! metadata: { name: cluster-staging }
//! spec:
//!   type: k8s-cluster
//!   driver: k8s-cluster
//!   criteria: [{ environmentType: staging }]
//!   inputs: { name: staging, kubeconfig_secret: staging }
//! ---
//! apiVersion: deployd.dev/v1
//! kind: ResourceDefinition
//! metadata: { name: cluster-production-eu }
//! spec:
//!   type: k8s-cluster
//!   driver: k8s-cluster
//!   criteria: [{ environmentType: production, values: { region: eu-* } }]
//!   inputs:
//!     name: production-eu
//!     server: https://eu.k8s.example:6443
//!     ca_data: LS0tLS1CRUdJTi...
//!     service_account: { namespace: deployd, name: deployer }
//! ---
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata: { name: k8s-cluster }
//! spec:
//!   kind: driver
//!   source: { shipped: k8s-cluster }
//!   grant:
//!     secrets: { staging: staging-kubeconfig }
//!     hosts:
//!       # For service_account: the API server, with what the host adds.
//!       - host: eu.k8s.example
//!         port: 6443
//!         scheme: https
//!         methods: [POST]
//!         ca: { secret: eu-ca }
//!         credential: { secret: eu-deployer-token } # authorization: Bearer
//! ```
//!
//! # Tokens that are granted secrets
//!
//! Whoever changes the secret (`deployd secret set`) rotates the token: the value is
//! read anew for each use, and once more when the cluster does not let it in. This
//! plugin never sees it.
//!
//! # Tokens that end
//!
//! `service_account` exchanges a long-lived credential of an account by the cluster's
//! own API (`serviceaccounts/NAME/token`) for a token that lasts
//! `expiration_seconds`. The account needs the permission to `create`
//! `serviceaccounts/token`, by a role that names it. The credential is added by the
//! host, as in the grant above, or is the granted secret `credential_secret`, which
//! the grant has to let the plugin reveal.
//!
//! `token_endpoint` asks an OAuth 2 endpoint, as clouds have them in place of a
//! program to execute:
//!
//! ```yaml
//! token_endpoint: # Microsoft Entra ID, for AKS
//!   url: https://login.microsoftonline.com/TENANT/oauth2/v2.0/token
//!   form: { client_id: 0000-0000, scope: 6dae42f8-4368-4678-94ff-3960e28e3630/.default }
//!   secret_form: { client_secret: aks-client-secret }
//! ```
//!
//! ```yaml
//! token_endpoint: # workload identity: a token that proves who deployd is
//!   url: https://sts.googleapis.com/v1/token
//!   form:
//!     grant_type: urn:ietf:params:oauth:grant-type:token-exchange
//!     audience: //iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p
//!     scope: https://www.googleapis.com/auth/cloud-platform
//!     requested_token_type: urn:ietf:params:oauth:token-type:access_token
//!     subject_token_type: urn:ietf:params:oauth:token-type:jwt
//!   secret_form: { subject_token: identity-token }
//! ```
//!
//! Each deployment gets a new token. When it ends stands in the output
//! `expires_at_ms`, a secret output as `kubeconfig` is one: what stands for both stays
//! the same, so that neither the record nor the plan of a deployment changes with
//! them. The daemon provisions the resource once more before a token ends, and when
//! the cluster does not let it in.
//!
//! Not supported: tokens that are signed URLs (EKS), and programs to execute.

mod inputs;
mod token;

use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::{Fault, Host, Ignored, Secret, export_driver};
use inputs::{Access, Inputs, Server};
use serde_json::{Map, Value, json};
use token::Token;

struct Cluster;

export_driver!(Cluster);

impl Driver for Cluster {
    type Params = Ignored;
    type Inputs = Inputs;
    type State = ();

    /// Asks nobody, and so can't say more of tokens than that there will be some.
    fn plan(request: &Request<Self>, host: &impl Host) -> Result<Planned, Fault> {
        if request.is_preview() {
            return Ok(Planned::later(request));
        }
        let mut planned = Planned::new(Action::None);
        planned.outputs = known(&request.inputs, host)?;
        Ok(planned)
    }

    fn provision(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<()>, Fault> {
        let inputs = &request.inputs;
        let mut provisioned = Provisioned::new(());
        provisioned.outputs = known(inputs, host)?;
        let issued = match inputs.access()? {
            Access::ServiceAccount { server, account } => {
                Some((server, token::of_account(server, account, host)?))
            }
            Access::TokenEndpoint { server, endpoint } => {
                Some((server, token::of_endpoint(endpoint, host)?))
            }
            Access::Kubeconfig { .. } | Access::Token { .. } | Access::InCluster => None,
        };
        if let Some((server, Token { text, expires_ms })) = issued {
            provisioned = provisioned
                .secret_output("kubeconfig", kubeconfig(server, &text))
                .secret_output("expires_at_ms", expires_ms.to_string());
        }
        Ok(provisioned.into())
    }

    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        Ok(Some(known(&request.inputs, host)?.into()))
    }

    fn destroy(_: &Request<Self>, _: Option<&str>, _: &impl Host) -> Result<Removal, Fault> {
        Ok(Removal::Done)
    }
}

/// The outputs that need nobody else.
fn known(inputs: &Inputs, host: &impl Host) -> Result<Map<String, Value>, Fault> {
    let mut outputs = Map::new();
    let mut put = |name: &str, value: &str| outputs.insert(name.to_owned(), value.into());
    if let Some(name) = inputs.name() {
        put("name", name);
    }
    match inputs.access()? {
        Access::Kubeconfig { secret } => {
            put("mode", "kubeconfig");
            put("kubeconfig", &host.open_secret(secret)?.reference());
        }
        Access::Token { server, secret } => {
            let token = host.open_secret(secret)?.reference();
            put("mode", "token");
            put("server", server.url);
            put("kubeconfig", &kubeconfig(server, &token));
        }
        Access::ServiceAccount { server, .. } | Access::TokenEndpoint { server, .. } => {
            put("mode", "token");
            put("server", server.url);
        }
        Access::InCluster => {
            put("mode", "in-cluster");
        }
    }
    Ok(outputs)
}

/// A kubeconfig file; JSON is YAML too.
fn kubeconfig(server: Server<'_>, token: &str) -> String {
    let cluster = match server.ca_data {
        Some(ca) => json!({"server": server.url, "certificate-authority-data": ca}),
        None => json!({"server": server.url}),
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
mod tests;
