use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::FaultClass;
use deployd_core::config::CaSource;
use deployd_core::ports::{Recipe, Sender as _, VaultError};
use deployd_core::secret::SecretValue;
use deployd_egress::{Broker, System};
use fixtures::aiosmtpd::{Aiosmtpd, Security as Server, USER};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::super::EgressSender;
use super::*;

/// The operator's secret `mail`.
struct Password(&'static str);

#[async_trait]
impl Vault for Password {
    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        match secret.name.as_str() {
            "mail" => Ok(SecretValue::new(format!("{}\n", self.0).into_bytes())),
            _ => Err(VaultError::NotFound(secret.clone())),
        }
    }

    async fn contains(&self, _: &SecretRef) -> Result<bool, VaultError> {
        Ok(true)
    }

    async fn generate(&self, secret: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn put(&self, secret: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        Ok(Vec::new())
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        Ok(())
    }
}

fn sender(password: &'static str) -> EgressSender {
    let vault: Arc<dyn Vault> = Arc::new(Password(password));
    EgressSender { egress: Arc::new(Broker::new(Arc::new(System), vault.clone())), vault }
}

const MAIL: &str = "Subject: one\r\n\r\n.a dot\n.\r\nfrom\rhere\r\n";

fn request(url: &str, to: &str, hosts: Vec<HostGrant>) -> Outgoing {
    Outgoing {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: vec![
            ("mail-from".to_owned(), "deployd@example.com".to_owned()),
            ("mail-to".to_owned(), to.to_owned()),
        ],
        body: MAIL.as_bytes().to_vec(),
        private_address: true,
        hosts,
    }
}

/// A certificate for `localhost`, its key beside it, and the certificate itself.
fn certificate(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key, made.cert.pem())
}

fn host(scheme: &str, port: u16, ca: Option<&str>) -> HostGrant {
    let credential = json!({"secret": "mail", "form": "basic", "user": USER.0});
    let ca = ca.map(|pem| CaSource { pem: Some(pem.to_owned()), secret: None });
    HostGrant {
        host: "localhost".to_owned(),
        port,
        scheme: scheme.to_owned(),
        private_address: true,
        ca,
        credential: Some(serde_json::from_value(credential).unwrap()),
        ..HostGrant::default()
    }
}

#[tokio::test]
async fn a_mail_server_takes_it_over_tls_from_who_has_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key, ca) = certificate(folder.path());
    for (security, scheme) in [(Server::StartTls, "smtp"), (Server::Tls, "smtps")] {
        let mut server = Aiosmtpd::start(&certificate, &key, security).unwrap();
        let url = format!("{scheme}://localhost:{}", server.port);
        let hosts = |ca: Option<&str>| vec![host(scheme, server.port, ca)];
        let to = "shop@example.com, ops@example.com";
        let answer = sender(USER.1).send(request(&url, to, hosts(Some(&ca)))).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (250, b"250 taken".as_slice()));
        let fault = |to: &'static str, password, ca: Option<&str>| {
            let request = request(&url, to, hosts(ca));
            async move { sender(password).send(request).await.unwrap_err() }
        };
        let refused = fault(to, "wrong", Some(&ca)).await;
        assert_eq!((refused.code.as_str(), refused.class), ("mail-refused", FaultClass::Denied));
        assert!(!refused.message.contains("wrong"), "{refused}");
        let refused = fault("shop@example.com,nobody@example.com", USER.1, Some(&ca)).await;
        assert_eq!(refused.class, FaultClass::Permanent);
        assert!(refused.message.contains("nobody@example.com"), "{refused}");
        assert!(fault("later@example.com", USER.1, Some(&ca)).await.is_transient());
        let untrusted = fault(to, USER.1, None).await;
        assert!(untrusted.message.contains("not trusted"), "{untrusted}");

        // Of all these, one was sent.
        let sent = sender(USER.1).send(request(&url, "last@example.com", hosts(Some(&ca)))).await;
        sent.unwrap();
        let first: Value = serde_json::from_str(&server.mail().unwrap()).unwrap();
        assert_eq!(first["to"], json!(["shop@example.com", "ops@example.com"]));
        assert_eq!(first["from"], "deployd@example.com");
        assert_eq!((&first["tls"], &first["user"]), (&json!(true), &json!(USER.0)));
        assert_eq!(first["mail"], "Subject: one\r\n\r\n.a dot\r\n.\r\nfrom here\r\n");
        let second: Value = serde_json::from_str(&server.mail().unwrap()).unwrap();
        assert_eq!(second["to"], json!(["last@example.com"]));
    }
}

/// A server that says these lines, one to each that it gets; after it, what it got.
async fn scripted(said: &'static [&'static str]) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut got = Vec::new();
        for reply in said {
            stream.write_all(reply.as_bytes()).await.unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            got.push(line.trim_end().to_owned());
        }
        got
    });
    (port, server)
}

#[tokio::test]
async fn what_a_server_says_is_no_more_than_it_may() {
    let long: &str = Box::leak(format!("220-{}\r\n", "x".repeat(9_000)).into_boxed_str());
    let long: &'static [&'static str] = Box::leak(vec![long].into_boxed_slice());
    for (said, code) in [
        (long, "mail-malformed"),
        (&["hello\r\n"], "mail-malformed"),
        (&["554 go away\r\n"], "mail-refused"),
        (&["421 too busy\r\n"], "mail-refused-for-now"),
        (&["220 hi\r\n", "250-mail.test\r\n250 AUTH GSSAPI\r\n"], "mail-no-authentication"),
        // Somebody on the way adds a command's answer before TLS begins.
        (&["220 hi\r\n", "250 STARTTLS\r\n", "220 go\r\n250 AUTH PLAIN\r\n"], "mail-injected"),
        (&["220 hi\r\n"], "receiver-unreachable"),
    ] {
        let (port, server) = scripted(said).await;
        let url = format!("smtp://localhost:{port}");
        let request = request(&url, "a@b", vec![host("smtp", port, None)]);
        let fault = sender("x").send(request).await.unwrap_err();
        assert_eq!(fault.code, code, "{said:?}: {fault}");
        server.abort();
    }
}

#[tokio::test]
async fn without_tls_it_goes_to_this_machine_alone_and_without_user_where_none_is_named() {
    let (port, server) =
        scripted(&["220 hi\r\n", "250 mail.test\r\n", "250 OK\r\n", "250 OK\r\n", "354 go\r\n"])
            .await;
    let url = format!("smtp://127.0.0.1:{port}");
    let sent = sender("x").send(request(&url, "a@b", Vec::new())).await;
    assert!(sent.is_err(), "nothing was said of the mail itself");
    let got = server.await.unwrap();
    assert_eq!(
        got[..4],
        ["EHLO [127.0.0.1]", "MAIL FROM:<deployd@example.com>", "RCPT TO:<a@b>", "DATA"]
    );
}

#[tokio::test]
async fn what_could_be_a_command_or_goes_elsewhere_is_refused() {
    let send = |url: &str, to: &str, hosts| {
        let request = request(url, to, hosts);
        async move { sender("x").send(request).await.unwrap_err() }
    };
    for to in ["", "a", "a@b>\r\nRCPT TO:<c@d", "a@b c@d", "a@b,", "ä@b"] {
        let fault = send("smtp://127.0.0.1:1", to, Vec::new()).await;
        assert_eq!(fault.code, "request-invalid", "{to:?}: {fault}");
    }
    let fault = send("smtp://user:secret@127.0.0.1:1", "a@b", Vec::new()).await;
    assert_eq!(fault.code, "request-invalid");
    assert!(!fault.message.contains("secret"), "{fault}");
    let fault = send("smtp://mail.test", "a@b", vec![host("smtp", 587, None)]).await;
    assert_eq!(fault.code, "host-not-granted");
    let request =
        Outgoing { private_address: false, ..request("smtp://10.0.0.1", "a@b", Vec::new()) };
    assert_eq!(sender("x").send(request).await.unwrap_err().code, "address-not-allowed");
}
