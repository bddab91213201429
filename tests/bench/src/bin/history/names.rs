//! What there is: applications, environments, versions, and when each was deployed
//! where. The same as in the program of the peers, `peers/native/src/bin/history.rs`.

use deployd_core::{DeploymentId, Digest, EnvironmentId, Timestamp};

/// Environments of an application.
pub(crate) const ENVIRONMENTS: u64 = 4;

/// When the first deployment was: 2020-01-01.
const BEGAN_MS: u64 = 1_577_836_800_000;

/// Between two versions of an application.
const VERSION_MS: u64 = 3_600_000;

/// Between a version's deployments to two environments.
const STAGE_MS: u64 = 600_000;

/// How long a deployment takes.
pub(crate) const TOOK_MS: u64 = 60_000;

/// A deployment: which application's, where, and the how manieth there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) application: u64,
    pub(crate) environment: u64,
    pub(crate) version: u64,
}

impl Place {
    /// `app-0007`.
    pub(crate) fn application_name(&self) -> String {
        format!("app-{:04}", self.application)
    }

    pub(crate) fn environment_id(&self) -> anyhow::Result<EnvironmentId> {
        Ok(format!("{}/e{}", self.application_name(), self.environment).parse()?)
    }

    /// When it was asked for.
    pub(crate) fn queued(&self) -> Timestamp {
        let stage = self.environment * STAGE_MS + self.application;
        Timestamp(BEGAN_MS + self.version * VERSION_MS + stage)
    }

    pub(crate) fn deployment(&self) -> DeploymentId {
        let mut tail = [0u8; 10];
        let parts = self.application.to_be_bytes().into_iter().skip(4);
        let parts = parts.chain([u8::try_from(self.environment).unwrap_or_default()]);
        let parts = parts.chain(self.version.to_be_bytes().into_iter().skip(4));
        tail.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        DeploymentId::from_parts(self.queued(), tail)
    }

    /// The version's image, the same in all environments.
    pub(crate) fn image(&self) -> String {
        let name = format!("{}-{}", self.application_name(), self.version);
        let digest = Digest::of(name.as_bytes());
        format!("registry.test/{}/web@{digest}", self.application_name())
    }
}

/// A sequence of numbers that look random: the same for everybody who begins
/// with the same one (the constants of Knuth's MMIX).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next one, below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    /// A deployment that there is.
    pub(crate) fn place(&mut self, applications: u64, versions: u64) -> Place {
        Place {
            application: self.below(applications),
            environment: self.below(ENVIRONMENTS),
            version: self.below(versions),
        }
    }
}
