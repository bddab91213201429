//! What there is: as in `tests/bench/src/history/names.rs`.

use sha2::{Digest as _, Sha256};

pub const ENVIRONMENTS: u64 = 4;
const BEGAN_MS: u64 = 1_577_836_800_000;
const VERSION_MS: u64 = 3_600_000;
const STAGE_MS: u64 = 600_000;
pub const TOOK_MS: u64 = 60_000;

#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub application: u64,
    pub environment: u64,
    pub version: u64,
}

impl Place {
    pub fn application_name(&self) -> String {
        format!("app-{:04}", self.application)
    }

    pub fn environment_name(&self) -> String {
        format!("{}/e{}", self.application_name(), self.environment)
    }

    pub fn queued(&self) -> i64 {
        let stage = self.environment * STAGE_MS + self.application;
        i64::try_from(BEGAN_MS + self.version * VERSION_MS + stage).unwrap_or(i64::MAX)
    }

    /// When the next version took its place.
    pub fn until(&self, versions: u64) -> Option<i64> {
        let next = Self { version: self.version + 1, ..*self };
        (next.version < versions).then(|| next.queued() + TOOK_MS as i64)
    }

    /// As those of ours: time and place in Crockford's base 32.
    pub fn deployment(&self) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let bits = (u128::from(self.queued() as u64 & 0xffff_ffff_ffff) << 80)
            | (u128::from(self.application) << 48)
            | (u128::from(self.environment) << 40)
            | (u128::from(self.version) << 8);
        let digits = (0..26).rev().map(|place| (bits >> (5 * place)) & 31);
        digits
            .filter_map(|digit| ALPHABET.get(digit as usize))
            .map(|byte| char::from(*byte))
            .collect()
    }

    pub fn image(&self) -> String {
        let name = format!("{}-{}", self.application_name(), self.version);
        format!("registry.test/{}/web@sha256:{}", self.application_name(), hex(name.as_bytes()))
    }
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    pub fn place(&mut self, (applications, versions): (u64, u64)) -> Place {
        Place {
            application: self.below(applications),
            environment: self.below(ENVIRONMENTS),
            version: self.below(versions),
        }
    }
}
