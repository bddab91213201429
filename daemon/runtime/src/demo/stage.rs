//! What the demo plays on: a cluster, a receiver of webhooks, a daemon, and a
//! client of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_cli::args::{DemoArgs, ImageReference};
use deployd_cli::client::DocumentFiles;
use deployd_cli::{Client, ClientOptions};
use deployd_config::SourceFile;
use deployd_core::Digest;
use deployd_core::ports::Random as _;
use deployd_practice::{Practice, PracticeOptions};
use tempfile::TempDir;

use super::ground::Ground;
use super::receiver::Receiver;
use crate::daemon::Daemon;
use crate::sample;
use crate::settings::Settings;
use crate::world::SystemRandom;

/// What the sample has, and the demo has otherwise.
const SAMPLE_WEBHOOK: &str = "http://127.0.0.1:8090/deployd";
/// What the sample has; the practice cluster's names lead to this machine.
const SAMPLE_DOMAIN: &str = "dev.example.com";
/// Browsers and resolvers lead every name below `localhost` to this machine.
const PRACTICE_DOMAIN: &str = "apps.localhost";

/// The sample's workloads.
pub(super) const WORKLOADS: [&str; 2] = ["frontend", "backend"];

/// How long a stage of a pod's start takes where people look on: long enough to
/// see it, and short enough not to be bored.
const PACE_TO_WATCH: Duration = Duration::from_millis(700);

/// Bytes of the key of webhooks: what Standard Webhooks recommends.
const SIGNING_KEY: usize = 32;

/// Everything that the demo has started. It ends when this is dropped, but for
/// the daemon, which is stopped.
pub(super) struct Stage {
    pub(super) daemon: Daemon,
    pub(super) client: Client,
    pub(super) practice: Option<Practice>,
    pub(super) receiver: Receiver,
    pub(super) data: PathBuf,
    /// What CI has built, by workload.
    pub(super) images: BTreeMap<&'static str, ImageReference>,
    signing_secret: String,
    kubeconfig: String,
    _temporary: Option<TempDir>,
}

impl Stage {
    /// Starts everything.
    pub(super) async fn set(args: &DemoArgs, ground: Ground) -> anyhow::Result<Self> {
        let Ground { data, compiler, kubeconfig, temporary } = ground;
        let (practice, kubeconfig) = match kubeconfig {
            Some(text) => (None, in_context(&text, args.context.as_deref())?),
            None => {
                let options = PracticeOptions::new();
                let options = if args.once { options } else { options.pace(PACE_TO_WATCH) };
                let practice = Practice::start(options).await?;
                let kubeconfig = practice.kubeconfig();
                (Some(practice), kubeconfig)
            }
        };
        let mut key = vec![0u8; SIGNING_KEY];
        SystemRandom.fill(&mut key);
        let signing_secret = format!("whsec_{}", STANDARD.encode(&key));
        let receiver = Receiver::start(key).await.context("the receiver of webhooks")?;
        let settings = Settings {
            data_dir: data.clone(),
            listen: args.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ..Settings::default()
        };
        let daemon = Daemon::start(&settings, Some(compiler)).await?;
        let token = std::fs::read_to_string(daemon.admin_token())
            .with_context(|| daemon.admin_token().display().to_string())?;
        let options =
            ClientOptions::new(format!("http://{}", daemon.address())).with_token(token.trim());
        Ok(Self {
            images: images(args)?,
            client: Client::new(options)?,
            daemon,
            practice,
            receiver,
            data,
            signing_secret,
            kubeconfig,
            _temporary: temporary,
        })
    }

    /// Sets the secrets that the sample's documents name.
    pub(super) async fn set_secrets(&self) -> anyhow::Result<()> {
        let client = &self.client;
        client.set_secret(&"demo-cluster".parse()?, self.kubeconfig.clone().into_bytes()).await?;
        client.set_secret(&"ci-webhook".parse()?, self.signing_secret.clone().into_bytes()).await?;
        Ok(())
    }

    /// The sample's documents, with this stage's addresses in them.
    pub(super) fn documents(&self) -> anyhow::Result<DocumentFiles> {
        let mut replaced = 0;
        let mut files = Vec::new();
        for (path, text) in sample::files() {
            let mut change = |text: String, from: &str, to: &str| {
                replaced += text.matches(from).count();
                text.replace(from, to)
            };
            let mut text = change(text, SAMPLE_WEBHOOK, &self.receiver.url());
            for (workload, image) in &self.images {
                text = change(text, &sample_repository(workload), &image.repository);
            }
            if self.practice.is_some() {
                text = change(text, SAMPLE_DOMAIN, PRACTICE_DOMAIN);
            }
            files.push(SourceFile { path, text });
        }
        let expected = 1 + WORKLOADS.len() + usize::from(self.practice.is_some());
        anyhow::ensure!(replaced == expected, "the sample's addresses are not where they were");
        Ok(DocumentFiles { files, ..DocumentFiles::default() })
    }

    /// A URL of the application as it can be opened here: with the practice
    /// cluster's gateway as its port.
    pub(super) fn reachable(&self, url: &str) -> String {
        let (Some(practice), Some(rest)) = (&self.practice, url.strip_prefix("http://")) else {
            return url.to_owned();
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        format!("http://{host}:{}/{path}", practice.gateway_addr().port())
    }
}

fn sample_repository(workload: &str) -> String {
    format!("registry.example.com/shop/{workload}")
}

/// What CI has built: what the arguments say, else what the practice cluster
/// takes for an image.
fn images(args: &DemoArgs) -> anyhow::Result<BTreeMap<&'static str, ImageReference>> {
    let mut images = BTreeMap::new();
    for workload in WORKLOADS {
        let digest = Digest::of(format!("the demo's {workload}").as_bytes());
        let repository = sample_repository(workload);
        images
            .insert(workload, ImageReference { repository, tag: Some("1.0.0".to_owned()), digest });
    }
    for given in &args.images {
        let image: ImageReference = given.image.parse().map_err(anyhow::Error::msg)?;
        let known = images.get_mut(given.workload.as_str());
        *known.with_context(|| {
            format!(
                "--image: the sample has no workload {}; it has {}",
                given.workload,
                WORKLOADS.join(", ")
            )
        })? = image;
    }
    Ok(images)
}

/// A kubeconfig with another context as its current one.
fn in_context(text: &str, context: Option<&str>) -> anyhow::Result<String> {
    let Some(context) = context else { return Ok(text.to_owned()) };
    let key = "current-context:";
    let mut found = false;
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            if line.starts_with(key) {
                found = true;
                format!("{key} {context}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    if !found {
        lines.push(format!("{key} {context}"));
    }
    Ok(lines.join("\n"))
}
