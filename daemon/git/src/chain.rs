//! Makes a chain of commits, one for each of several orders, and the pack that has all that
//! is new in them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use deployd_core::Fault;
use deployd_core::ports::{BlobId, CommitId, Committed, ForeignEdit};

use crate::edit::{self, Made};
use crate::fault;
use crate::id::{Kind, ObjectId};
use crate::order::Order;
use crate::pack::{Object, Writer};
use crate::repository::Looked;
use crate::signature::sign;
use crate::snapshot::{Look, Snapshot};
use crate::transport::PUSH_BYTES_MAX;

/// How much one push has of several orders. What comes later waits for the next: so an order
/// waits for little more than its own.
const CHAIN_BYTES: usize = 16 * 1024 * 1024;

/// What comes of one order.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// All is as this says, once the chain is pushed.
    Fine(Committed),
    /// Others have changed what is ours.
    Edited(Vec<ForeignEdit>),
    /// It can't be done.
    Wrong(Fault),
    /// Its turn comes with the next chain.
    Later,
}

/// What came of several orders.
pub(crate) struct Chain {
    /// In the order of the orders.
    pub(crate) verdicts: Vec<Verdict>,
    /// The last commit, if there is a new one.
    pub(crate) tip: Option<ObjectId>,
    /// How many commits there are.
    pub(crate) commits: usize,
    /// All that is new.
    pub(crate) pack: Vec<u8>,
    /// What is worth being kept: the last commit and its new trees.
    pub(crate) objects: Vec<Object>,
}

/// A commit and its tree.
pub(crate) type Point = (ObjectId, ObjectId);

/// Makes the chain. All trees along the orders' paths have to be in the snapshot.
pub(crate) fn build(
    snapshot: &mut Snapshot,
    head: Option<Point>,
    orders: &[Arc<Order>],
) -> Result<Chain, Fault> {
    let mut builder = Builder {
        snapshot,
        at: head,
        made: Made::new(),
        tip: None,
        writer: Writer::new(),
        keys: HashMap::new(),
        commits: 0,
    };
    let mut verdicts = Vec::with_capacity(orders.len());
    for order in orders {
        verdicts.push(builder.add(order)?);
    }
    let mut objects: Vec<Object> = builder.made.into_values().collect();
    let tip = builder.tip.as_ref().map(|tip| tip.id);
    objects.extend(builder.tip);
    Ok(Chain { verdicts, tip, commits: builder.commits, pack: builder.writer.finish(), objects })
}

struct Builder<'a> {
    snapshot: &'a mut Snapshot,
    at: Option<Point>,
    made: Made,
    tip: Option<Object>,
    writer: Writer,
    /// What came of orders that a commit was made of, by key.
    keys: HashMap<String, Committed>,
    commits: usize,
}

impl Builder<'_> {
    fn add(&mut self, order: &Arc<Order>) -> Result<Verdict, Fault> {
        if let Some(same) = self.keys.get(&order.request.key) {
            return Ok(Verdict::Fine(same.clone()));
        }
        let full = self.writer.len().saturating_add(order.bytes()) > CHAIN_BYTES;
        if full && self.commits > 0 {
            return Ok(Verdict::Later);
        }
        let found = match self.at {
            Some((_, tree)) => match self.snapshot.find_all(tree, order.paths())? {
                Looked::All(found) => found,
                Looked::Missing(_) => return Err(incomplete()),
            },
            None => BTreeMap::new(),
        };
        let differences = match edit::compare(order, &found) {
            Ok(differences) => differences,
            Err(fault) => return Ok(Verdict::Wrong(fault)),
        };
        if !differences.edits.is_empty() && !order.request.take_over {
            return Ok(Verdict::Edited(differences.edits));
        }
        let files: BTreeMap<String, BlobId> =
            order.files().map(|(path, id)| (path.to_owned(), BlobId(id.to_string()))).collect();
        if differences.changes.is_empty() {
            return Ok(match self.at {
                Some((commit, _)) => Verdict::Fine(Committed {
                    commit: CommitId(commit.to_string()),
                    files,
                    changed: false,
                    past: false,
                    taken_over: Vec::new(),
                }),
                None => Verdict::Wrong(fault::not_found(format!(
                    "there is no branch {}, and nothing to be committed to it",
                    order.request.branch.name
                ))),
            });
        }
        let mut made = Made::new();
        let root = self.at.map(|(_, tree)| tree);
        let tree = match edit::apply(self.snapshot, root, &differences.changes, &mut made) {
            Ok(tree) => tree,
            Err(Look::Fault(fault)) => return Ok(Verdict::Wrong(fault)),
            Err(Look::Missing(_)) => return Err(incomplete()),
        };
        let commit = match self.commit(order, tree) {
            Ok(commit) => commit,
            Err(fault) => return Ok(Verdict::Wrong(fault)),
        };
        self.write(order, &differences.changes, &made, &commit)?;
        for (path, object) in made {
            self.made.insert(path, object);
        }
        self.at = Some((commit.id, tree));
        let done = Committed {
            commit: CommitId(commit.id.to_string()),
            files,
            changed: true,
            past: false,
            taken_over: differences.edits,
        };
        self.tip = Some(commit);
        self.commits = self.commits.saturating_add(1);
        self.keys.insert(order.request.key.clone(), done.clone());
        Ok(Verdict::Fine(done))
    }

    fn commit(&self, order: &Order, tree: ObjectId) -> Result<Object, Fault> {
        let mut content = order.draft().content(tree, self.at.map(|(commit, _)| commit));
        if let Some(key) = &order.key {
            let signature = sign(key, &content)?;
            content = crate::commit::signed(&content, &signature).ok_or_else(incomplete)?;
        }
        let id = ObjectId::of(Kind::Commit, &content)
            .ok_or_else(|| fault::invalid("the commit was made to have the name of another"))?;
        Ok(Object { id, kind: Kind::Commit, content: Arc::from(content) })
    }

    fn write(
        &mut self,
        order: &Order,
        changes: &BTreeMap<String, Option<ObjectId>>,
        made: &Made,
        commit: &Object,
    ) -> Result<(), Fault> {
        let failed = |error: std::io::Error| {
            Fault::bug("git-broken", format!("a pack can't be made: {error}"))
        };
        self.writer.add(commit.id, commit.kind, &commit.content).map_err(failed)?;
        for tree in made.values() {
            self.writer.add(tree.id, tree.kind, &tree.content).map_err(failed)?;
        }
        for (path, id) in changes {
            if let (Some(id), Some(content)) = (id, order.request.files.get(path)) {
                self.writer.add(*id, Kind::Blob, content).map_err(failed)?;
            }
        }
        if self.writer.len() > PUSH_BYTES_MAX {
            return Err(fault::too_large_request(format!(
                "what is to be pushed has more than {PUSH_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }
}

/// The trees were there before, and nobody takes them away.
fn incomplete() -> Fault {
    Fault::bug("git-broken", "a commit is made of trees that were not fetched")
}
