//! How software is delivered: DORA's figures, from what is kept of the ends of
//! deployments.

use std::collections::BTreeMap;

use deployd_core::dora::{
    CHANGES, Change, DoraReport, GroupFigures, changes_between, environment_of_change, figures,
};
use deployd_core::ports::Order;
use deployd_core::{EnvironmentId, Name, Timestamp};

use crate::records::decode;
use crate::{Engine, EngineError, Inner};

/// The most deployments that one report counts: some hundred milliseconds.
const CHANGES_MAX: usize = 200_000;

/// The most that it looks at for them: those of other applications and types are
/// passed over.
const LOOKED_AT_MAX: usize = 1_000_000;

/// Deployments that are read at once.
const AT_ONCE: usize = 2_000;

/// Deployments by application and type of environment, as far as they are told
/// apart; those of each environment by themselves.
type Groups = BTreeMap<(Option<Name>, Option<Name>), Vec<Vec<Change>>>;

/// Deployments by environment and its type.
type Changes = BTreeMap<(EnvironmentId, Option<Name>), Vec<Change>>;

/// Which deployments are counted: those for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DoraFilter {
    /// Of this application.
    pub application: Option<Name>,
    /// In environments of this type.
    pub environment_type: Option<Name>,
    /// All applications together: a group for each type.
    pub together: bool,
}

impl Engine {
    /// DORA's figures of what ended in a span of time.
    pub async fn dora(
        &self,
        filter: &DoraFilter,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DoraReport, EngineError> {
        if since >= until {
            let message = format!("found {since}, expected a time before {until}");
            return Err(EngineError::invalid("since", message));
        }
        self.inner.dora(filter, since, until).await
    }
}

impl Inner {
    async fn dora(
        &self,
        filter: &DoraFilter,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DoraReport, EngineError> {
        let (changes, cut) = self.changes_between(filter, since, until).await?;
        let mut groups = Groups::new();
        for ((environment, of_type), changes) in changes {
            let application = (!filter.together).then_some(environment.application);
            groups.entry((application, of_type)).or_default().push(changes);
        }
        let groups = groups
            .into_iter()
            .map(|((application, environment_type), environments)| GroupFigures {
                application,
                environment_type,
                figures: figures(environments.iter().map(Vec::as_slice), since, until),
            })
            .collect();
        Ok(DoraReport { since, until, groups, cut })
    }

    /// What is counted, by environment, the first that ended first; and whether
    /// there was more. The newest come first: what is cut is the oldest.
    async fn changes_between(
        &self,
        filter: &DoraFilter,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<(Changes, bool), EngineError> {
        let mut found = Changes::new();
        let (mut counted, mut looked) = (0usize, 0usize);
        let mut range = changes_between(since, until);
        let cut = loop {
            let store = &self.ports.store;
            let page = store.scan(CHANGES, range.clone(), Order::Descending, AT_ONCE).await?;
            for (key, value) in &page.entries {
                let Some(id) = environment_of_change(key) else { continue };
                if filter.application.as_ref().is_some_and(|wanted| *wanted != id.application) {
                    continue;
                }
                let change: Change = decode(CHANGES.0, value)?;
                let of_type = change.environment_type.clone();
                let wanted = filter.environment_type.as_ref();
                if wanted.is_none_or(|wanted| Some(wanted) == of_type.as_ref()) {
                    // An environment that was made anew may have had another type.
                    found.entry((id, of_type)).or_default().push(change);
                    counted = counted.saturating_add(1);
                }
            }
            looked = looked.saturating_add(page.entries.len());
            let Some((last, _)) = page.entries.last().filter(|_| page.more) else { break false };
            if counted >= CHANGES_MAX || looked >= LOOKED_AT_MAX {
                break true;
            }
            range.end = Some(last.clone());
        };
        found.values_mut().for_each(|changes| changes.reverse());
        Ok((found, cut))
    }
}
