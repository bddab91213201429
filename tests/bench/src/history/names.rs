//! What there is: applications, environments, versions, and when each was announced
//! and deployed where. The same as in the program of the peers,
//! `peers/native/src/bin/history/names.rs`.

use deployd_core::announcement::Announcement;
use deployd_core::artifact::Artifact;
use deployd_core::{Actor, DeploymentId, Digest, EnvironmentId, Timestamp};

/// Environments of an application.
pub const ENVIRONMENTS: u64 = 4;

/// When the first deployment was: 2020-01-01.
const BEGAN_MS: u64 = 1_577_836_800_000;

/// Between two versions of an application.
const VERSION_MS: u64 = 3_600_000;

/// Between a version's deployments to two environments.
const STAGE_MS: u64 = 600_000;

/// How long a deployment takes.
pub const TOOK_MS: u64 = 60_000;

/// A deployment: which application's, where, and the how manieth there.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which application.
    pub application: u64,
    /// Which of its environments.
    pub environment: u64,
    /// Which version.
    pub version: u64,
}

impl Place {
    /// `app-0007`.
    pub fn application_name(&self) -> String {
        format!("app-{:04}", self.application)
    }

    /// `app-0007/e3`.
    ///
    /// # Errors
    ///
    /// Never: it is a name.
    pub fn environment_id(&self) -> anyhow::Result<EnvironmentId> {
        Ok(format!("{}/e{}", self.application_name(), self.environment).parse()?)
    }

    /// When it was asked for.
    pub fn queued(&self) -> Timestamp {
        let stage = self.environment * STAGE_MS + self.application;
        Timestamp(BEGAN_MS + self.version * VERSION_MS + stage)
    }

    /// Its name.
    pub fn deployment(&self) -> DeploymentId {
        let mut tail = [0u8; 10];
        let parts = self.application.to_be_bytes().into_iter().skip(4);
        let parts = parts.chain([u8::try_from(self.environment).unwrap_or_default()]);
        let parts = parts.chain(self.version.to_be_bytes().into_iter().skip(4));
        tail.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        DeploymentId::from_parts(self.queued(), tail)
    }

    fn repository(&self) -> String {
        format!("registry.test/{}/web", self.application_name())
    }

    fn digest(&self) -> Digest {
        Digest::of(format!("{}-{}", self.application_name(), self.version).as_bytes())
    }

    /// The version's image, the same in all environments.
    pub fn image(&self) -> String {
        format!("{}@{}", self.repository(), self.digest())
    }

    /// How its image was announced, a minute before it came to the first environment.
    pub fn announcement(&self) -> Announcement {
        let at = Self { environment: 0, ..*self }.queued().0 - TOOK_MS;
        let commit = self.digest().hex().chars().take(40).collect();
        Announcement {
            at: Timestamp(at),
            by: Actor("ci".to_owned()),
            artifact: Artifact {
                tag: Some(format!("1.{}", self.version)),
                git_ref: Some("refs/heads/main".to_owned()),
                commit: Some(commit),
                committed_at: Some(Timestamp(at - STAGE_MS)),
                build_url: Some(format!("https://ci.test/builds/{}", self.version)),
                sequence: Some(self.version),
                ..Artifact::new(self.repository(), self.digest())
            },
        }
    }
}

/// A sequence of numbers that look random: the same for everybody who begins
/// with the same one (the constants of Knuth's MMIX).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one, below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    /// A deployment that there is.
    pub fn place(&mut self, applications: u64, versions: u64) -> Place {
        Place {
            application: self.below(applications),
            environment: self.below(ENVIRONMENTS),
            version: self.below(versions),
        }
    }
}
