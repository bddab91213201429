//! Versions of many applications, told by a forge or announced by CI.

use std::time::{Duration, Instant, SystemTime};

use anyhow::ensure;
use bench::daemon::Daemon;
use bench::documents;
use deployd_core::artifact::Artifact;
use futures::StreamExt as _;
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::application;

/// Requests on their way at the same time.
const AT_ONCE: usize = 64;

/// What the forge signs with.
const SECRET: &str = "the secret of a forge that is measured";

/// The hook.
pub(crate) const HOOK: &str = "bench";

/// One version of one application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) application: usize,
    pub(crate) number: usize,
}

/// All versions that are told of, the oldest of each application first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    pub(crate) applications: usize,
    pub(crate) versions: usize,
    pub(crate) first: usize,
}

/// What came of telling.
pub(crate) struct Sent {
    /// How long each answer took.
    pub(crate) answers: Vec<Duration>,
    /// When each was sent, in milliseconds since 1970.
    pub(crate) at: Vec<(Version, u64)>,
    took: Duration,
}

impl Sent {
    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answers.len() as f64 / self.took.as_secs_f64()
    }
}

/// Applies the applications and the hook.
pub(crate) async fn apply(daemon: &Daemon, applications: usize) -> anyhow::Result<()> {
    daemon.client.set_secret(&HOOK.parse()?, SECRET.as_bytes().to_vec()).await?;
    let names: Vec<String> = (0..applications).map(application).collect();
    documents::apply_told(&daemon.client, HOOK, &names).await
}

impl Burst {
    pub(crate) fn len(&self) -> usize {
        self.applications * self.versions
    }

    fn all(self) -> impl Iterator<Item = Version> {
        let numbers = self.first..self.first + self.versions;
        numbers.flat_map(move |number| {
            (0..self.applications).map(move |application| Version { application, number })
        })
    }

    /// The newest version of each.
    pub(crate) fn newest(self) -> impl Iterator<Item = Version> {
        let number = self.first + self.versions - 1;
        (0..self.applications).map(move |application| Version { application, number })
    }

    /// Has the forge tell of all of them.
    pub(crate) async fn deliver(self, daemon: &Daemon) -> anyhow::Result<Sent> {
        let http = reqwest::Client::new();
        let url = daemon.url(&format!("/v1/hooks/{HOOK}"));
        tell(self.all(), |version| {
            let (http, url) = (http.clone(), url.clone());
            async move { deliver(&http, &url, version).await }
        })
        .await
    }

    /// Has it tell of some of them once more.
    pub(crate) async fn deliver_again(self, daemon: &Daemon, count: usize) -> anyhow::Result<()> {
        let http = reqwest::Client::new();
        let url = daemon.url(&format!("/v1/hooks/{HOOK}"));
        let each = (self.len() / count.max(1)).max(1);
        let some = self.all().step_by(each).map(|version| deliver(&http, &url, version));
        let mut answers = futures::stream::iter(some).buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    }

    /// Has CI announce all of them.
    pub(crate) async fn announce(self, daemon: &Daemon) -> anyhow::Result<Sent> {
        tell(self.all(), |version| async move {
            let artifact: Artifact = serde_json::from_value(json!({
                "repository": version.repository(), "digest": version.digest(), "tag": "1.0",
                "sequence": created(version),
            }))?;
            daemon.client.announce(&[artifact]).await?;
            Ok(())
        })
        .await
    }
}

async fn tell<F: Future<Output = anyhow::Result<()>>>(
    all: impl Iterator<Item = Version>,
    tells: impl Fn(Version) -> F,
) -> anyhow::Result<Sent> {
    let requests = all.map(|version| {
        let telling = tells(version);
        async move {
            let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            let sent = Instant::now();
            telling.await?;
            anyhow::Ok((sent.elapsed(), (version, u64::try_from(at.as_millis())?)))
        }
    });
    let begun = Instant::now();
    let mut found = futures::stream::iter(requests).buffer_unordered(AT_ONCE);
    let mut sent = Sent { answers: Vec::new(), at: Vec::new(), took: Duration::ZERO };
    while let Some(answer) = found.next().await {
        let (took, at) = answer?;
        sent.answers.push(took);
        sent.at.push(at);
    }
    sent.took = begun.elapsed();
    Ok(sent)
}

/// When a version was pushed, in milliseconds: what tells which one is newer.
fn created(version: Version) -> u64 {
    1_795_168_800_000 + version.number as u64 * 1_000
}

async fn deliver(http: &reqwest::Client, url: &str, version: Version) -> anyhow::Result<()> {
    let at = u64::try_from(version.number)?;
    let time = format!("2026-11-20T{:02}:{:02}:{:02}Z", 10 + at / 3600, at / 60 % 60, at % 60);
    let repository = version.repository();
    let body = json!({
        "action": "published",
        "package": {
            "name": application(version.application), "package_type": "CONTAINER",
            "package_version": {
                "package_url": format!("{repository}:1.0"),
                "created_at": time, "updated_at": time,
                "container_metadata": {"tag": {"name": "1.0", "digest": version.digest()}},
            },
        },
        "repository": {"full_name": "acme/shop"},
    })
    .to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(body.as_bytes());
    let signature: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = http
        .post(url)
        .header("content-type", "application/json")
        .header("x-github-event", "package")
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(body)
        .send()
        .await?;
    let status = answer.status();
    ensure!(status.is_success(), "{status}: {}", answer.text().await?);
    Ok(())
}
