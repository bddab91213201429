//! What the platform's definition says.

use std::collections::BTreeMap;

use deployd_plugin_sdk::Fault;
use serde::Deserialize;

/// How long a token of a service account is good for, in seconds, when the
/// definition does not say: an hour, as Kubernetes has it.
const ACCOUNT_SECONDS: u32 = 3_600;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Inputs {
    name: Option<String>,
    kubeconfig_secret: Option<String>,
    server: Option<String>,
    ca_data: Option<String>,
    token_secret: Option<String>,
    service_account: Option<ServiceAccount>,
    token_endpoint: Option<TokenEndpoint>,
    in_cluster: bool,
}

/// A service account whose credential is exchanged for short-lived tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccount {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The long-lived credential, by the name that the grant gives the secret;
    /// none where the grant has the host add it.
    pub(crate) credential_secret: Option<String>,
    #[serde(default = "account_seconds")]
    pub(crate) expiration_seconds: u32,
    #[serde(default)]
    pub(crate) audiences: Vec<String>,
}

/// An OAuth 2 token endpoint.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenEndpoint {
    pub(crate) url: String,
    /// Fields of the form.
    #[serde(default)]
    pub(crate) form: BTreeMap<String, String>,
    /// Fields whose values are granted secrets.
    #[serde(default)]
    pub(crate) secret_form: BTreeMap<String, String>,
}

/// One of the ways to reach a cluster.
pub(crate) enum Access<'a> {
    Kubeconfig { secret: &'a str },
    Token { server: Server<'a>, secret: &'a str },
    ServiceAccount { server: Server<'a>, account: &'a ServiceAccount },
    TokenEndpoint { server: Server<'a>, endpoint: &'a TokenEndpoint },
    InCluster,
}

/// Where the API is, and who signed its certificate.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) url: &'a str,
    pub(crate) ca_data: Option<&'a str>,
}

fn account_seconds() -> u32 {
    ACCOUNT_SECONDS
}

impl Inputs {
    /// What people call the cluster.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The one way that is given.
    pub(crate) fn access(&self) -> Result<Access<'_>, Fault> {
        let credentials = (&self.token_secret, &self.service_account, &self.token_endpoint);
        match (&self.kubeconfig_secret, &self.server, credentials, self.in_cluster) {
            (Some(secret), None, (None, None, None), false) if self.ca_data.is_none() => {
                Ok(Access::Kubeconfig { secret })
            }
            (None, None, (None, None, None), true) if self.ca_data.is_none() => {
                Ok(Access::InCluster)
            }
            (None, Some(url), credentials, false) => {
                let ca_data = self.ca_data.as_deref();
                let server = Server { url: https("/inputs/server", url)?, ca_data };
                match credentials {
                    (Some(secret), None, None) => Ok(Access::Token { server, secret }),
                    (None, Some(account), None) => Ok(Access::ServiceAccount { server, account }),
                    (None, None, Some(endpoint)) => {
                        https("/inputs/token_endpoint/url", &endpoint.url)?;
                        Ok(Access::TokenEndpoint { server, endpoint })
                    }
                    _ => Err(one_way()),
                }
            }
            _ => Err(one_way()),
        }
    }
}

fn one_way() -> Fault {
    Fault::invalid(
        "/inputs",
        "either kubeconfig_secret, or server with one of token_secret, service_account and \
         token_endpoint, or in_cluster: true",
    )
}

/// A token that goes over the wire in the clear is no secret.
fn https<'a>(path: &str, url: &'a str) -> Result<&'a str, Fault> {
    match url.strip_prefix("https://") {
        Some(rest) if !rest.is_empty() => Ok(url.strip_suffix('/').unwrap_or(url)),
        _ => Err(Fault::invalid(path, "an https URL")),
    }
}
