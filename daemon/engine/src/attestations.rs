//! Attestations and results: attached to images, and looked at by what waits for them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use deployd_core::attestation::{
    ATTESTATION_BYTES_MAX, ATTESTATIONS, ATTESTATIONS_MAX, Attestation, Evidence, ImageStanding,
    RESULTS, RESULTS_MAX, RuleStanding, attached_to, attestation_key, result_key, rules,
};
use deployd_core::config::AttestationRule;
use deployd_core::deployment::{Deployment, DeploymentRecord, Event};
use deployd_core::image::Image;
use deployd_core::journal::StreamId;
use deployd_core::policy::AttachedResult;
use deployd_core::ports::{Batch, Index, Object, Order};
use deployd_core::reference::Reference;
use deployd_core::set::DeploymentSet;
use deployd_core::{DeploymentId, Digest};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::environments::EnvironmentEntry;
use crate::journal::until_no_conflict;
use crate::records::{content, decode, get, head_of_deployment, put};
use crate::{Caller, Engine, EngineError, Inner};

impl Engine {
    /// Attaches an attestation to an image. What waits for it looks at it at once. The
    /// image need not have been announced.
    pub async fn attach_attestation(
        &self,
        caller: &Caller,
        image: Digest,
        document: Vec<u8>,
    ) -> Result<Attestation, EngineError> {
        self.attach_attestation_from(caller, image, document, None).await
    }

    /// The same, of what was fetched from somewhere.
    pub(crate) async fn attach_attestation_from(
        &self,
        caller: &Caller,
        image: Digest,
        document: Vec<u8>,
        from: Option<Reference>,
    ) -> Result<Attestation, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        if document.len() > ATTESTATION_BYTES_MAX {
            let found = document.len();
            let message = format!("found {found} bytes, expected {ATTESTATION_BYTES_MAX} at most");
            return Err(EngineError::invalid("document", message));
        }
        let invalid = |message| EngineError::invalid("document", message);
        let statement = self.inner.ports.attestations.read(&document).map_err(invalid)?;
        if !statement.subjects.contains(&image) {
            let about: Vec<String> = statement.subjects.iter().map(ToString::to_string).collect();
            let found = if about.is_empty() { "nothing".to_owned() } else { about.join(", ") };
            return Err(invalid(format!("its subject is {found}, expected {image}")));
        }
        let object = Object::new(document);
        let attached = until_no_conflict(|| async {
            let stream = StreamId::attestations();
            let version = self.inner.version(&stream).await?;
            let key = attestation_key(image, object.digest);
            let known: Option<Attestation> =
                get(&*self.inner.ports.store, ATTESTATIONS, &key).await?;
            if let Some(known) = known {
                return Ok(known);
            }
            self.inner.has_room(ATTESTATIONS, image, ATTESTATIONS_MAX, "attestations").await?;
            let attached = Attestation {
                image,
                document: object.digest,
                predicate_type: statement.predicate_type.clone(),
                by: caller.actor.clone(),
                at: self.inner.ports.clock.now(),
                from: from.clone(),
            };
            let puts = vec![put(ATTESTATIONS, key, &attached)?];
            let batch = Batch { puts, objects: vec![object.clone()], ..Batch::default() };
            let body = json!({
                "type": "attestation-attached", "name": image, "image": image,
                "document": object.digest, "predicateType": attached.predicate_type,
                "from": attached.from,
            });
            let batch = self.inner.note(stream, version, caller, body, batch)?;
            self.inner.commit(caller, attached, batch, &[]).await
        })
        .await?;
        self.inner.wake_attested().await?;
        Ok(attached)
    }

    /// Attaches what a suite or a scanner has found to an image, in the place of what
    /// the same one has found before.
    pub async fn attach_result(
        &self,
        caller: &Caller,
        image: Digest,
        result: AttachedResult,
    ) -> Result<AttachedResult, EngineError> {
        if result.from.is_some() {
            let expected = "expected nothing: it is written where a result is fetched";
            return Err(EngineError::invalid("from", expected));
        }
        self.attach_result_from(caller, image, result).await
    }

    /// The same, of what was fetched from somewhere.
    pub(crate) async fn attach_result_from(
        &self,
        caller: &Caller,
        image: Digest,
        result: AttachedResult,
    ) -> Result<AttachedResult, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        if let Some((field, message)) = result.fault() {
            return Err(EngineError::invalid(field, message));
        }
        until_no_conflict(|| async {
            let stream = StreamId::attestations();
            let version = self.inner.version(&stream).await?;
            let key = result_key(image, &result);
            let known: Option<AttachedResult> =
                get(&*self.inner.ports.store, RESULTS, &key).await?;
            if known.is_none() {
                self.inner.has_room(RESULTS, image, RESULTS_MAX, "results").await?;
            }
            let puts = vec![put(RESULTS, key, &result)?];
            let body = json!({
                "type": "result-attached", "name": image, "image": image, "result": result,
            });
            let batch = Batch { puts, ..Batch::default() };
            let batch = self.inner.note(stream, version, caller, body, batch)?;
            self.inner.commit(caller, result.clone(), batch, &[]).await
        })
        .await
    }

    /// Attestations of an image, the newest last.
    pub async fn attestations(&self, image: Digest) -> Result<Vec<Attestation>, EngineError> {
        self.inner.attestations_of(image).await
    }

    /// What is attached to an image of tests and scans, the newest last.
    pub async fn results(&self, image: Digest) -> Result<Vec<AttachedResult>, EngineError> {
        self.inner.results_of(image).await
    }

    /// How a deployment stands to the attestations that it waits for: none where it
    /// waits for none.
    pub async fn standing(&self, id: &DeploymentId) -> Result<Vec<RuleStanding>, EngineError> {
        let record: DeploymentRecord = head_of_deployment(&*self.inner.ports.store, id).await?;
        match record.work.as_ref().filter(|_| record.ended.is_none()) {
            Some(work) => {
                let found = self.inner.standings(work).await?;
                Ok(found.into_iter().map(|(_, standing)| standing).collect())
            }
            None => Ok(Vec::new()),
        }
    }
}

impl Inner {
    /// Gates of what is active that open by what was attested.
    pub(crate) async fn attested(
        &self,
        entry: &EnvironmentEntry,
    ) -> Result<Vec<Event>, EngineError> {
        let active = entry.state.active.as_ref().filter(|active| !active.is_stopping());
        let Some(active) = active.filter(|active| rules(&active.gates).next().is_some()) else {
            return Ok(Vec::new());
        };
        let opened = |(gate, standing): (String, RuleStanding)| {
            let (deployment, evidence) = (active.id.clone(), standing.evidence());
            standing.holds().then_some(Event::GatePassed { deployment, gate, evidence })
        };
        Ok(self.standings(active).await?.into_iter().filter_map(opened).collect())
    }

    async fn standings(
        &self,
        work: &Deployment,
    ) -> Result<Vec<(String, RuleStanding)>, EngineError> {
        let mut found = Vec::new();
        if rules(&work.gates).next().is_none() {
            return Ok(found);
        }
        let set = work.request.set;
        let set: DeploymentSet = content(&*self.ports.store, "set", set).await?;
        let mut images: Vec<String> = set.images().into_values().collect();
        images.sort();
        images.dedup();
        for (gate, rule) in rules(&work.gates) {
            let mut standing = RuleStanding { rule: rule.clone(), images: Vec::new() };
            for text in &images {
                let image = Image::of(text);
                if rule.is_for(&image.repository) {
                    standing.images.push(self.stands(rule, text, image.digest).await?);
                }
            }
            found.push((gate.id.clone(), standing));
        }
        Ok(found)
    }

    /// How an image stands to a rule: the newest attestation that counts.
    async fn stands(
        &self,
        rule: &AttestationRule,
        text: &str,
        digest: Option<Digest>,
    ) -> Result<ImageStanding, EngineError> {
        let mut standing =
            ImageStanding { image: text.to_owned(), evidence: None, problems: Vec::new() };
        let Some(image) = digest else {
            standing
                .problems
                .push("it is named without a digest, which is what is attested".to_owned());
            return Ok(standing);
        };
        let mut attached = self.attestations_of(image).await?;
        attached.retain(|one| one.predicate_type == rule.predicate_type);
        if attached.is_empty() {
            standing.problems.push(format!("no attestation {} is attached", rule.predicate_type));
        }
        for one in attached.into_iter().rev() {
            let Some(document) = self.ports.store.object(one.document).await? else { continue };
            let (attestations, rule) = (self.ports.attestations.clone(), rule.clone());
            let judged = tokio::task::spawn_blocking(move || {
                rule.judge(&attestations.read(&document)?, image)?;
                attestations.signer(&document, image, &rule.signed_by)
            });
            match judged.await.map_err(EngineError::bug)? {
                Ok(signer) => {
                    let (image, attestation) = (text.to_owned(), one.document);
                    standing.problems.clear();
                    standing.evidence = Some(Evidence { image, attestation, signer });
                    break;
                }
                Err(problem) => standing.problems.push(format!("{}: {problem}", one.document)),
            }
        }
        Ok(standing)
    }

    /// Has everybody look again who may wait for an attestation.
    async fn wake_attested(self: &Arc<Self>) -> Result<(), EngineError> {
        let configuration = self.configuration().await?;
        let asks = |of_type| {
            let of_type = configuration.environment_types.get(of_type);
            of_type.is_some_and(|of_type| !of_type.attestations.is_empty())
        };
        for (id, spec) in &configuration.environments {
            if asks(&spec.environment_type) {
                self.workers.wake(self, id);
            }
        }
        Ok(())
    }

    async fn attestations_of(&self, image: Digest) -> Result<Vec<Attestation>, EngineError> {
        let mut found: Vec<Attestation> =
            self.attached_to(ATTESTATIONS, image, ATTESTATIONS_MAX).await?;
        found.sort_by_key(|one| one.at);
        Ok(found)
    }

    async fn results_of(&self, image: Digest) -> Result<Vec<AttachedResult>, EngineError> {
        let mut found: Vec<AttachedResult> = self.attached_to(RESULTS, image, RESULTS_MAX).await?;
        found.sort_by_key(|one| one.at);
        Ok(found)
    }

    /// What is attached to the images of a set that are named by digests.
    pub(crate) async fn results_of_set(
        &self,
        set: &DeploymentSet,
    ) -> Result<BTreeMap<Digest, Vec<AttachedResult>>, EngineError> {
        let mut found = BTreeMap::new();
        for text in set.images().into_values() {
            let Some(digest) = Image::of(&text).digest else { continue };
            if let Entry::Vacant(vacant) = found.entry(digest) {
                vacant.insert(self.results_of(digest).await?);
            }
        }
        Ok(found)
    }

    async fn attached_to<T: DeserializeOwned>(
        &self,
        index: Index,
        image: Digest,
        max: usize,
    ) -> Result<Vec<T>, EngineError> {
        let range = attached_to(image);
        let page = self.ports.store.scan(index, range, Order::Ascending, max).await?;
        page.entries.iter().map(|(_, value)| decode(index.0, value)).collect()
    }

    async fn has_room(
        &self,
        index: Index,
        image: Digest,
        max: usize,
        what: &str,
    ) -> Result<(), EngineError> {
        let page = self.ports.store.scan(index, attached_to(image), Order::Ascending, max).await?;
        if page.entries.len() < max {
            return Ok(());
        }
        Err(EngineError::Conflict {
            message: format!("image {image} has {max} {what} already, and takes no more"),
        })
    }
}
