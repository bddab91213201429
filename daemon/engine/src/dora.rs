//! How software is delivered: DORA's figures, from what is kept of the ends of
//! deployments.

use std::collections::BTreeMap;

use deployd_core::deployment::projection::{ENVIRONMENTS, environment_of};
use deployd_core::dora::{CHANGES, Change, DoraReport, GroupFigures, changes_between, figures};
use deployd_core::ports::{KeyRange, Order};
use deployd_core::{EnvironmentId, Name, Timestamp};

use crate::records::decode;
use crate::{Engine, EngineError, Inner};

/// The most deployments that one report looks at: some hundred milliseconds.
const CHANGES_MAX: usize = 200_000;

/// Environments that are listed, and deployments that are read, at once.
const AT_ONCE: usize = 2_000;

/// Deployments by application and type of environment, as far as they are told
/// apart; those of each environment by themselves.
type Groups = BTreeMap<(Option<Name>, Option<Name>), Vec<Vec<Change>>>;

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
        let mut groups = Groups::new();
        let mut left = CHANGES_MAX;
        let mut cut = false;
        let mut range = match &filter.application {
            Some(application) => KeyRange::prefix(format!("{application}/").as_bytes()),
            None => crate::records::everything(),
        };
        loop {
            let page = self
                .ports
                .store
                .scan(ENVIRONMENTS, range.clone(), Order::Ascending, AT_ONCE)
                .await?;
            for (key, _) in &page.entries {
                let Some(id) = environment_of(key) else { continue };
                if left == 0 {
                    cut = true;
                    break;
                }
                let changes = self.changes_of(&id, since, until, &mut left, &mut cut).await?;
                let application = (!filter.together).then(|| id.application.clone());
                // An environment that was made anew may have had another type.
                let mut by_type: BTreeMap<Option<Name>, Vec<Change>> = BTreeMap::new();
                for change in changes {
                    by_type.entry(change.environment_type.clone()).or_default().push(change);
                }
                for (of_type, changes) in by_type {
                    let wanted = filter.environment_type.as_ref();
                    if wanted.is_none_or(|wanted| Some(wanted) == of_type.as_ref()) {
                        groups.entry((application.clone(), of_type)).or_default().push(changes);
                    }
                }
            }
            match page.entries.last().filter(|_| page.more && !cut) {
                Some((last, _)) => range.start = last.iter().copied().chain([0]).collect(),
                None => break,
            }
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

    async fn changes_of(
        &self,
        id: &EnvironmentId,
        since: Timestamp,
        until: Timestamp,
        left: &mut usize,
        cut: &mut bool,
    ) -> Result<Vec<Change>, EngineError> {
        let mut changes = Vec::new();
        let mut range = changes_between(id, since, until);
        loop {
            let max = AT_ONCE.min(*left);
            let page = self.ports.store.scan(CHANGES, range.clone(), Order::Ascending, max).await?;
            for (_, value) in &page.entries {
                changes.push(decode(CHANGES.0, value)?);
            }
            *left = left.saturating_sub(page.entries.len());
            let Some((last, _)) = page.entries.last().filter(|_| page.more) else {
                return Ok(changes);
            };
            if *left == 0 {
                *cut = true;
                return Ok(changes);
            }
            range.start = last.iter().copied().chain([0]).collect();
        }
    }
}
