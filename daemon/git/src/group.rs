//! Brings several orders for one branch to it together: a chain of commits, pushed at once.
//! A push counts only if the branch is where it was looked at, so others and we never undo
//! each other's commits; who comes second looks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{BlobId, CallLog, CommitId, Committed, LogLevel, Random};

use crate::chain::{self, Chain, Verdict};
use crate::commit::Commit;
use crate::fault;
use crate::foreign;
use crate::history;
use crate::id::ObjectId;
use crate::order::Order;
use crate::protocol::{Advertisement, Refusal, Report, push_request, read_report};
use crate::repository::{Looked, Reader, Repository, blocking};
use crate::snapshot::Found;
use crate::transport::{Service, Session};
use crate::tree::EntryKind;

/// How often others may be quicker: many of them, each as eager as we are, and still all
/// get their turn.
const MOVED_TRIES: u32 = 60;
/// How often a connection may break: what passes at once passes in that time, and
/// everything else is for whoever asked to try again.
const BROKEN_TRIES: u32 = 3;
/// How many orders in a row are refused by themselves before nobody else is tried.
const STREAK: u32 = 3;
/// The first wait after a failure.
const WAIT_FIRST: Duration = Duration::from_millis(20);
/// The longest, where others are quicker: who pushes all the time does not wait for us.
const WAIT_MOVED_MAX: Duration = Duration::from_millis(320);
/// The longest, where connections break.
const WAIT_BROKEN_MAX: Duration = Duration::from_secs(2);
/// How much earlier than its order a commit may have been made, by the server's clock or
/// by that of whoever pushed before us.
const CLOCKS_APART_SECONDS: u64 = 3_600;

/// Which branch, of which repository.
pub(crate) struct Target {
    pub(crate) repository: Arc<Repository>,
    /// What the commits are made upon.
    pub(crate) base: String,
    /// The new branch that gets the commit instead.
    pub(crate) proposal: Option<String>,
    pub(crate) random: Arc<dyn Random>,
}

/// What came of an order; none when its turn has not come.
pub(crate) type Answer = Option<Result<Committed, Fault>>;

/// An order, and whether a commit may have been made of it already.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) order: Arc<Order>,
    pub(crate) again: bool,
}

/// What came of one attempt.
enum Attempt {
    Answered(Vec<Answer>),
    /// Others were quicker.
    Moved(String),
    /// The push may have gone through, or not.
    Unknown(Fault),
    /// The server does not take it, for a reason that may be one order's alone.
    Refused(Fault),
}

impl Target {
    fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The branch that is pushed to.
    fn branch(&self) -> &str {
        self.proposal.as_deref().unwrap_or(&self.base)
    }

    /// Has all orders be on the branch, or says for each why it is not. What is refused of
    /// several is tried by halves, so that it holds up no other; unless so many have been
    /// refused by themselves, with the same words, that it is the branch and not the order.
    pub(crate) async fn serve(&self, orders: Vec<Pending>, log: &CallLog) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(orders.len());
        let mut open = vec![orders];
        let mut streak: Option<(Fault, u32)> = None;
        while let Some(orders) = open.pop() {
            if let Some((fault, STREAK)) = &streak {
                answers.extend(all(&orders, fault));
                continue;
            }
            match self.together(orders, log).await {
                Ok(served) => {
                    streak = match served.first() {
                        Some(Some(Err(fault))) if of_the_branch(fault) => {
                            let count = match streak {
                                Some((before, count)) if before == *fault => count + 1,
                                _ => 1,
                            };
                            Some((fault.clone(), count))
                        }
                        _ => None,
                    };
                    answers.extend(served);
                }
                Err(mut orders) => {
                    let second = orders.split_off(orders.len() / 2);
                    open.extend([second, orders]);
                }
            }
        }
        answers
    }

    /// The same for several at once; gives them back when the server refuses them.
    async fn together(
        &self,
        mut orders: Vec<Pending>,
        log: &CallLog,
    ) -> Result<Vec<Answer>, Vec<Pending>> {
        let (mut moved, mut broken) = (0, 0);
        loop {
            let fault = match self.attempt(&orders, log).await {
                Ok(Attempt::Answered(answers)) => return Ok(answers),
                Ok(Attempt::Refused(_)) if orders.len() > 1 => return Err(orders),
                Ok(Attempt::Refused(fault)) => return Ok(all(&orders, &fault)),
                Ok(Attempt::Moved(reason)) => {
                    moved += 1;
                    broken = 0;
                    let (name, branch) = (&self.repository().name, self.branch());
                    fault::unreachable(format!(
                        "others were quicker to push to the branch {branch} of {name}, {moved} times: {reason}"
                    ))
                }
                Ok(Attempt::Unknown(fault)) => {
                    broken += 1;
                    for one in &mut orders {
                        one.again = true;
                    }
                    fault
                }
                Err(fault) if fault.is_transient() => {
                    broken += 1;
                    fault
                }
                Err(fault) => return Ok(all(&orders, &fault)),
            };
            if moved >= MOVED_TRIES || broken >= BROKEN_TRIES {
                return Ok(all(&orders, &fault));
            }
            log.line(LogLevel::Info, format!("{fault}; trying again"));
            let (failures, longest) = match broken {
                0 => (moved, WAIT_MOVED_MAX),
                _ => (broken, WAIT_BROKEN_MAX),
            };
            tokio::time::sleep(self.wait(failures, longest)).await;
        }
    }

    /// Twice as long after each failure, and up to twice as long by chance, so that those
    /// who have collided do not collide again.
    fn wait(&self, failures: u32, longest: Duration) -> Duration {
        let longest = WAIT_FIRST.saturating_mul(1 << failures.min(10)).min(longest);
        let mut chance = [0; 2];
        self.random.fill(&mut chance);
        longest.mul_f64(0.5 + f64::from(u16::from_le_bytes(chance)) / f64::from(u16::MAX) / 2.0)
    }

    async fn attempt(&self, orders: &[Pending], log: &CallLog) -> Result<Attempt, Fault> {
        let repository = self.repository();
        let (mut session, told) = repository.route.open(Service::ReceivePack).await?;
        let server =
            Advertisement::read(&told).map_err(|fault| fault.with_reason(&repository.name))?;
        let base = server.branch(&self.base);
        let mut reader = Reader::new(repository);
        let mut answers = self.made_before(&mut reader, orders, base, &server).await?;
        let open: Vec<usize> = (0..orders.len())
            .filter(|index| answers.get(*index).is_some_and(Option::is_none))
            .collect();
        let left: Vec<Arc<Order>> = open
            .iter()
            .filter_map(|index| orders.get(*index))
            .map(|pending| Arc::clone(&pending.order))
            .collect();
        if left.is_empty() {
            return Ok(Attempt::Answered(answers));
        }
        let head = match base {
            Some(id) => Some(reader.head_commit(id, &self.base).await?),
            None => None,
        };
        let chain = self.chain(&mut reader, head.as_ref(), &left).await?;
        if let Some(tip) = chain.tip {
            match self.push(&mut session, &server, base, tip, &chain, log).await? {
                Pushed::Done => repository.saw(self.branch(), tip),
                Pushed::Not(attempt) => return Ok(attempt),
            }
        }
        // A session that waits for a push ends where there is none.
        drop(session);
        repository.keep(chain.objects);
        for (index, (order, verdict)) in open.into_iter().zip(left.iter().zip(chain.verdicts)) {
            let answer = match verdict {
                Verdict::Fine(committed) => Some(Ok(committed)),
                Verdict::Wrong(fault) => Some(Err(fault)),
                Verdict::Later => None,
                Verdict::Edited(mut edits) => {
                    let rewritten = match base {
                        // Who it was is worth a question, and no failure.
                        Some(tip) => foreign::explain(&mut reader, tip, order, &mut edits)
                            .await
                            .unwrap_or_default(),
                        None => Default::default(),
                    };
                    Some(Err(foreign::fault(&repository.name, &self.base, &edits, &rewritten)))
                }
            };
            if let Some(place) = answers.get_mut(index) {
                *place = answer;
            }
        }
        Ok(Attempt::Answered(answers))
    }

    /// Makes the chain of what is to be pushed.
    async fn chain(
        &self,
        reader: &mut Reader<'_>,
        head: Option<&Commit>,
        orders: &[Arc<Order>],
    ) -> Result<Chain, Fault> {
        let point = head.map(|head| (head.id, head.tree));
        let mut snapshot = self.repository().snapshot();
        if let Some((_, tree)) = point {
            let asked: Vec<Arc<Order>> = orders.to_vec();
            let look = move |snapshot: &mut crate::snapshot::Snapshot| {
                let paths = asked.iter().flat_map(|order| order.paths());
                Ok(match snapshot.find_all(tree, paths)? {
                    Looked::All(_) => Looked::All(()),
                    Looked::Missing(missing) => Looked::Missing(missing),
                })
            };
            (snapshot, ()) = reader.look(snapshot, look).await?;
        }
        let orders = orders.to_vec();
        blocking(move || chain::build(&mut snapshot, point, &orders)).await?
    }

    async fn push(
        &self,
        session: &mut Session<'_>,
        server: &Advertisement,
        base: Option<ObjectId>,
        tip: ObjectId,
        chain: &Chain,
        log: &CallLog,
    ) -> Result<Pushed, Fault> {
        let branch = self.branch();
        let old = if self.proposal.is_some() { None } else { base };
        let request = push_request(server, branch, old, Some(tip), &chain.pack);
        let bytes = chain.pack.len();
        let answer = match session.ask(request).await {
            Ok(answer) => answer,
            Err(fault) if fault.is_transient() => return Ok(Pushed::Not(Attempt::Unknown(fault))),
            Err(fault) => return Err(fault),
        };
        let Report { result, told } = match read_report(server, &answer, branch) {
            Ok(report) => report,
            Err(fault) => return Ok(Pushed::Not(Attempt::Unknown(fault))),
        };
        let told = fault::quoted(&told);
        if !told.is_empty() {
            log.line(
                LogLevel::Info,
                format!("{} says: {told}", self.repository().route.address.place()),
            );
        }
        match result {
            Ok(()) => {
                let name = &self.repository().name;
                let count = match chain.commits {
                    1 => "1 commit".to_owned(),
                    count => format!("{count} commits"),
                };
                log.line(
                    LogLevel::Info,
                    format!("pushed {count} with {bytes} bytes to {branch} of {name}"),
                );
                Ok(Pushed::Done)
            }
            Err(refusal) => Ok(Pushed::Not(self.refused(refusal, &told))),
        }
    }

    fn refused(&self, refusal: Refusal, told: &str) -> Attempt {
        let (name, branch) = (&self.repository().name, self.branch());
        let told = if told.is_empty() { String::new() } else { format!(" ({told})") };
        match refusal {
            Refusal::Moved(reason) => Attempt::Moved(reason),
            Refusal::Failed(reason) => Attempt::Refused(fault::unreachable(format!(
                "the server of {name} can't take what was pushed to {branch}: {reason}{told}"
            ))),
            Refusal::Forbidden(reason) => Attempt::Refused(Fault::denied(
                fault::PROTECTED,
                format!(
                    "the server does not let deployd push to the branch {branch} of {name}: {reason}{told}. \
                     Let its login push there, or have environments propose their changes instead \
                     (`pullRequest`)"
                ),
            )),
        }
    }

    /// What was made of orders already that may have been: found by their keys.
    async fn made_before(
        &self,
        reader: &mut Reader<'_>,
        orders: &[Pending],
        base: Option<ObjectId>,
        server: &Advertisement,
    ) -> Result<Vec<Answer>, Fault> {
        let mut answers: Vec<Answer> = vec![None; orders.len()];
        let proposal = self.proposal.as_deref().and_then(|name| server.branch(name));
        let sought: Vec<(usize, &Order)> = orders
            .iter()
            .enumerate()
            .filter(|(_, pending)| pending.again || proposal.is_some())
            .map(|(index, pending)| (index, &*pending.order))
            .collect();
        let Some(earliest) = sought.iter().map(|(_, order)| order.request.at.0 / 1_000).min()
        else {
            return Ok(answers);
        };
        let since = earliest.saturating_sub(CLOCKS_APART_SECONDS);
        let all = |order: &'_ Order| -> Vec<String> {
            let request = &order.request;
            request.later.iter().chain([&request.key]).cloned().collect()
        };
        let keys: Vec<String> = sought.iter().flat_map(|(_, order)| all(order)).collect();
        for tip in [proposal, base].into_iter().flatten() {
            let history = history::since(reader, tip, since, &keys).await?;
            for (index, order) in &sought {
                let request = &order.request;
                let mut later = request.later.iter().filter_map(|key| history.by_key(tip, key));
                let (found, past) = match (later.next(), history.by_key(tip, &request.key)) {
                    (Some(found), _) => (found, true),
                    (None, Some(found)) => (found, false),
                    (None, None) => continue,
                };
                if let Some(answer) = answers.get_mut(*index).filter(|answer| answer.is_none()) {
                    *answer = Some(Ok(self.as_committed(reader, found, order, past).await?));
                }
            }
        }
        if let (Some(name), Some(tip)) = (&self.proposal, proposal) {
            for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = Some(Err(fault::invalid(format!(
                    "the branch {name} of {} is there already, at {tip}, and has no commit of this \
                     deployment; remove it, or have another one made",
                    self.repository().name
                ))));
            }
        }
        Ok(answers)
    }

    /// The files of an order, as they are in the commit that was made of it.
    async fn as_committed(
        &self,
        reader: &mut Reader<'_>,
        commit: &Commit,
        order: &Order,
        past: bool,
    ) -> Result<Committed, Fault> {
        let tree = reader.commit(commit.id, None).await?.tree;
        let snapshot = self.repository().snapshot();
        let paths: Vec<String> = order.files().map(|(path, _)| path.to_owned()).collect();
        let look = move |snapshot: &mut crate::snapshot::Snapshot| {
            Ok(match snapshot.find_all(tree, paths.iter().map(String::as_str))? {
                Looked::All(found) => {
                    let found = found.into_iter().map(|(path, found)| (path.to_owned(), found));
                    Looked::All(found.collect::<BTreeMap<String, Found>>())
                }
                Looked::Missing(missing) => Looked::Missing(missing),
            })
        };
        let (_, found) = reader.look(snapshot, look).await?;
        let plain = |(path, found)| match found {
            Found::Entry(EntryKind::Plain, id) => Some((path, BlobId(id.to_string()))),
            _ => None,
        };
        Ok(Committed {
            commit: CommitId(commit.id.to_string()),
            files: found.into_iter().filter_map(plain).collect(),
            changed: true,
            past,
            taken_over: Vec::new(),
        })
    }
}

/// Whether a push has gone through.
enum Pushed {
    Done,
    Not(Attempt),
}

/// Whether it may be none of a single order's.
fn of_the_branch(fault: &Fault) -> bool {
    [fault::PROTECTED, fault::UNREACHABLE, fault::DENIED].contains(&fault.code.as_str())
}

fn all(orders: &[Pending], fault: &Fault) -> Vec<Answer> {
    orders.iter().map(|_| Some(Err(fault.clone()))).collect()
}
