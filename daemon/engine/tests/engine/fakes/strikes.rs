//! What goes wrong, by the number of the call: each call of a port is counted,
//! in all lives of the process together.

use std::collections::BTreeMap;

use deployd_core::Fault;
use deployd_core::ports::{StoreError, VaultError};

use super::Instance;

/// What goes wrong in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// The process ends before anything was done.
    CrashBefore,
    /// It was done, and the process ends.
    CrashAfter,
    /// Nothing was done, and it may be tried again.
    Fails,
    /// Nothing was done, and it will not be.
    FailsForGood,
    /// It was done, and the answer says that it may be tried again: what came
    /// of it can't be known from outside.
    Unknown,
}

impl Strike {
    pub const ALL: [Self; 5] =
        [Self::CrashBefore, Self::CrashAfter, Self::Fails, Self::FailsForGood, Self::Unknown];
}

/// Strikes to come, and the calls that were counted.
#[derive(Debug, Default)]
pub struct Strikes {
    pub at: BTreeMap<usize, Strike>,
    /// Names of calls, the first one's number is 1.
    pub calls: Vec<String>,
}

impl Strikes {
    fn next(&mut self, name: &str) -> Option<Strike> {
        self.calls.push(name.to_owned());
        self.at.remove(&self.calls.len())
    }
}

/// An error of a port, made up.
pub trait MadeUp {
    fn made_up(for_good: bool) -> Self;
}

impl MadeUp for Fault {
    fn made_up(for_good: bool) -> Self {
        match for_good {
            false => Self::transient("struck", "it may be tried again"),
            true => Self::permanent("struck", "it will not be"),
        }
    }
}

impl MadeUp for StoreError {
    fn made_up(for_good: bool) -> Self {
        match for_good {
            false => Self::Busy,
            true => Self::Full("no room".to_owned()),
        }
    }
}

impl MadeUp for VaultError {
    fn made_up(for_good: bool) -> Self {
        Self::Store(StoreError::made_up(for_good))
    }
}

impl Instance {
    /// A call that can be seen from outside, or leaves something behind. The
    /// process may end before and after it.
    pub async fn operation<T, E: MadeUp>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.life.point(&format!("before {name}")).await;
        self.world.meanwhile(name).await;
        let strike = self.world.strikes.lock().unwrap().next(name);
        match strike {
            Some(Strike::CrashBefore) => self.life.end(&format!("before {name}")).await,
            Some(Strike::Fails) => return Err(E::made_up(false)),
            Some(Strike::FailsForGood) => return Err(E::made_up(true)),
            _ => {}
        }
        let result = call.await;
        match strike {
            Some(Strike::CrashAfter) => self.life.end(&format!("after {name}")).await,
            Some(Strike::Unknown) if result.is_ok() => return Err(E::made_up(false)),
            _ => {}
        }
        if result.is_ok() {
            self.life.point(&format!("after {name}")).await;
        }
        result
    }

    /// A call that leaves nothing behind: a crash there is one before the next
    /// operation.
    pub async fn look<T, E: MadeUp>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.life.alive().await;
        self.world.meanwhile(name).await;
        match self.world.strikes.lock().unwrap().next(name) {
            Some(Strike::Fails | Strike::Unknown) => return Err(E::made_up(false)),
            Some(Strike::FailsForGood) => return Err(E::made_up(true)),
            _ => {}
        }
        call.await
    }
}
