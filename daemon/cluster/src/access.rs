//! From what a `k8s-cluster` resource says to a client's configuration.
//!
//! A kubeconfig comes from a resource's outputs, so from outside the daemon:
//! nothing in it may make the daemon execute a process or read one of its own
//! files.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::ports::ClusterAccess;
use deployd_core::secret::SecretValue;
use deployd_core::{Digest, Fault};
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster,
    NamedContext,
};
use serde_json::json;

/// How long connecting may take: a server on the other side of the world that
/// is up answers within a second or two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const CODE: &str = "cluster-access-invalid";

/// Names an access without giving it away.
pub(crate) fn digest(access: &ClusterAccess) -> Digest {
    match access {
        ClusterAccess::Kubeconfig(text) => Digest::of_parts(&[b"kubeconfig", text.expose()]),
        ClusterAccess::Token { server, ca, token } => Digest::of_parts(&[
            b"token",
            server.as_bytes(),
            ca.as_deref().unwrap_or_default().as_bytes(),
            token.expose(),
        ]),
        ClusterAccess::InCluster => Digest::of_parts(&[b"in-cluster"]),
    }
}

/// The configuration for an access.
pub(crate) async fn config(access: &ClusterAccess, cluster: &str) -> Result<Config, Fault> {
    let mut config = match access {
        ClusterAccess::Kubeconfig(text) => from_kubeconfig(text, cluster).await?,
        ClusterAccess::Token { server, ca, token } => {
            from_token(server, ca.as_deref(), token, cluster).await?
        }
        ClusterAccess::InCluster => Config::incluster_env().map_err(|error| {
            invalid(
                cluster,
                format!(
                    "deployd does not run in a pod with a service account ({error}); \
                     give the cluster a kubeconfig or a server with a token"
                ),
            )
        })?,
    };
    if config.root_cert.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid(cluster, "its CA has no certificate in it; PEM is expected"));
    }
    if config.root_cert.is_none() && config.cluster_url.scheme_str() == Some("http") {
        // Nobody proves anything there; without this, the client reads every
        // certificate that the machine trusts, hundreds of files.
        config.root_cert = Some(Vec::new());
    }
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Requests have a time limit of their own, and watches are silent for long.
    config.read_timeout = None;
    // Retrying is ours: see `retry`.
    config.default_retry = false;
    Ok(config)
}

async fn from_kubeconfig(text: &SecretValue, cluster: &str) -> Result<Config, Fault> {
    let text = std::str::from_utf8(text.expose())
        .map_err(|_| invalid(cluster, "the kubeconfig is no UTF-8 text"))?;
    // The parser's message may quote the text, and the text has secrets in it.
    let kubeconfig = Kubeconfig::from_yaml(text)
        .map_err(|_| invalid(cluster, "the kubeconfig is no YAML document of that kind"))?;
    let proxied = refuse_what_reaches_out(&kubeconfig, cluster)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| invalid(cluster, format!("the kubeconfig can't be used: {error}")))?;
    if !proxied {
        // The client takes a proxy from the daemon's environment otherwise,
        // which was set for somebody else.
        config.proxy_url = None;
    }
    if config.accept_invalid_certs {
        tracing::warn!(cluster, "the kubeconfig turns off the check of the server's certificate");
    }
    Ok(config)
}

async fn from_token(
    server: &str,
    ca: Option<&str>,
    token: &SecretValue,
    cluster: &str,
) -> Result<Config, Fault> {
    let token = std::str::from_utf8(token.expose())
        .map_err(|_| invalid(cluster, "the token is no text"))?
        .trim();
    if token.is_empty() {
        return Err(invalid(cluster, "the token is empty"));
    }
    let name = "cluster".to_owned();
    let kubeconfig = Kubeconfig {
        clusters: vec![NamedCluster {
            name: name.clone(),
            cluster: Some(Cluster {
                server: Some(server.to_owned()),
                certificate_authority_data: ca.map(|pem| STANDARD.encode(pem)),
                ..Cluster::default()
            }),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: name.clone(),
            auth_info: Some(AuthInfo {
                token: Some(token.to_owned().into()),
                ..AuthInfo::default()
            }),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: name.clone(),
            context: Some(Context {
                cluster: name.clone(),
                user: Some(name.clone()),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        current_context: Some(name),
        ..Kubeconfig::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| invalid(cluster, format!("server or CA can't be used: {error}")))?;
    config.proxy_url = None;
    Ok(config)
}

/// Refuses what would execute processes, read files or ask others. Returns
/// whether the cluster names a proxy of its own.
fn refuse_what_reaches_out(kubeconfig: &Kubeconfig, cluster: &str) -> Result<bool, Fault> {
    let Some(name) = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty()) else {
        return Err(invalid(cluster, "the kubeconfig has no current-context; set one"));
    };
    let context = kubeconfig
        .contexts
        .iter()
        .find(|context| context.name == name)
        .and_then(|context| context.context.as_ref())
        .ok_or_else(|| {
            invalid(cluster, format!("the kubeconfig's current-context {name:?} is not in it"))
        })?;
    let user = context.user.as_deref().and_then(|user| {
        let named = kubeconfig.auth_infos.iter().find(|info| info.name == user)?;
        named.auth_info.as_ref()
    });
    if let Some(user) = user {
        refuse_user(user, cluster)?;
    }
    let server = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
    let Some(server) = server.and_then(|named| named.cluster.as_ref()) else {
        return Ok(false);
    };
    if server.certificate_authority.is_some() && server.certificate_authority_data.is_none() {
        return Err(invalid(cluster, inline("certificate-authority")));
    }
    Ok(server.proxy_url.as_deref().is_some_and(|url| !url.is_empty()))
}

fn refuse_user(user: &AuthInfo, cluster: &str) -> Result<(), Fault> {
    if let Some(exec) = &user.exec {
        let command = exec.command.as_deref().unwrap_or("a program");
        return Err(invalid(
            cluster,
            format!(
                "the kubeconfig's user gets its credentials from {command:?} (exec), and deployd \
                 executes no programs; use a service account's token or a client certificate"
            ),
        ));
    }
    if let Some(provider) = &user.auth_provider {
        return Err(invalid(
            cluster,
            format!(
                "the kubeconfig's user has the auth-provider {:?}, which deployd does not support; \
                 use a service account's token or a client certificate",
                provider.name
            ),
        ));
    }
    let files = [
        (
            "client-certificate",
            user.client_certificate.is_some(),
            user.client_certificate_data.is_some(),
        ),
        ("client-key", user.client_key.is_some(), user.client_key_data.is_some()),
        ("tokenFile", user.token_file.is_some(), user.token.is_some()),
    ];
    match files.into_iter().find(|(_, file, inline)| *file && !inline) {
        Some((field, ..)) => Err(invalid(cluster, inline(field))),
        None => Ok(()),
    }
}

fn inline(field: &str) -> String {
    format!(
        "the kubeconfig's {field} names a file, and deployd reads none for it; put the content \
         into the kubeconfig (kubectl config view --flatten --minify --raw)"
    )
}

fn invalid(cluster: &str, message: impl AsRef<str>) -> Fault {
    Fault::invalid(CODE, format!("Cluster {cluster}: {}.", message.as_ref()))
        .with_detail(json!({ "cluster": cluster }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(user: &str, server: &str) -> ClusterAccess {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:6443'{server}}}}}]\n\
             users: [{{name: u, user: {user}}}]\n"
        );
        ClusterAccess::Kubeconfig(SecretValue::new(text.into_bytes()))
    }

    #[tokio::test]
    async fn what_reaches_out_is_refused() {
        let table = [
            ("{exec: {apiVersion: x, command: aws}}", "", "\"aws\" (exec)"),
            ("{auth-provider: {name: gcp}}", "", "auth-provider \"gcp\""),
            ("{tokenFile: /etc/passwd}", "", "tokenFile names a file"),
            ("{client-certificate: /a, client-key-data: eA==}", "", "client-certificate names"),
            ("{client-certificate-data: eA==, client-key: /a}", "", "client-key names a file"),
            ("{token: t}", ", certificate-authority: /ca", "certificate-authority names a file"),
        ];
        for (user, server, expected) in table {
            let fault = config(&kubeconfig(user, server), "west").await.unwrap_err();
            assert_eq!(fault.code, CODE);
            assert!(fault.message.contains(expected), "{}", fault.message);
            assert!(fault.message.starts_with("Cluster west: "), "{}", fault.message);
        }
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_not_quoted() {
        let text = b"token: hunter2\n  broken: [".to_vec();
        let access = ClusterAccess::Kubeconfig(SecretValue::new(text));
        let fault = config(&access, "west").await.unwrap_err();
        assert!(!fault.message.contains("hunter2"), "{}", fault.message);
        let access = ClusterAccess::Kubeconfig(SecretValue::new(b"{}".to_vec()));
        let fault = config(&access, "west").await.unwrap_err();
        assert!(fault.message.contains("current-context"), "{}", fault.message);
    }

    #[tokio::test]
    async fn tokens_make_a_configuration() {
        let made = config(&kubeconfig("{token: t}", ""), "west").await.unwrap();
        assert_eq!(made.cluster_url.to_string(), "https://127.0.0.1:6443/");
        assert!(!made.default_retry);
        let access = ClusterAccess::Token {
            server: "https://127.0.0.1:6443".to_owned(),
            ca: None,
            token: SecretValue::new(b"t\n".to_vec()),
        };
        assert!(config(&access, "west").await.is_ok());
        let access = ClusterAccess::Token {
            server: "https://127.0.0.1:6443".to_owned(),
            ca: Some("no certificate".to_owned()),
            token: SecretValue::new(b"t".to_vec()),
        };
        let fault = config(&access, "west").await.unwrap_err();
        assert!(fault.message.contains("no certificate in it"), "{}", fault.message);
    }

    #[test]
    fn digests_tell_accesses_apart() {
        let with = |token: &str| ClusterAccess::Token {
            server: "https://a".to_owned(),
            ca: None,
            token: SecretValue::new(token.as_bytes().to_vec()),
        };
        assert_eq!(digest(&with("a")), digest(&with("a")));
        assert_ne!(digest(&with("a")), digest(&with("b")));
        assert_ne!(digest(&with("a")), digest(&ClusterAccess::InCluster));
    }
}
