//! Arguments of commands about deployments.

use std::path::PathBuf;

use clap::Args;
use deployd_core::subject::Subject;
use deployd_core::{Digest, EnvironmentId};

use super::calendar::Scheduling;
use super::values::ImageChange;

/// What to deploy: nothing given is what is configured, with the latest images.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub struct Selection {
    /// A whole deployment set: a file of JSON or YAML, - for standard input, a digest, or what runs
    /// somewhere else (APP/ENV)
    #[arg(long, value_name = "FILE|SUBJECT")]
    pub set: Option<String>,
    /// A delta to what runs: a file of JSON or YAML, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub delta: Option<String>,
    /// Another image for a container of what runs; may be repeated
    #[arg(long = "image", value_name = "WORKLOAD[/CONTAINER]=IMAGE")]
    pub images: Vec<ImageChange>,
}

/// Whether to follow what was begun.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Watching {
    /// Follow the deployment until it ends: the default
    #[arg(long, overrides_with = "no_watch")]
    pub watch: bool,
    /// Return as soon as the deployment is accepted
    #[arg(long, overrides_with = "watch")]
    pub no_watch: bool,
}

impl Watching {
    /// Whether to follow.
    pub fn wanted(self) -> bool {
        !self.no_watch
    }
}

/// Deploy.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What is watched decides on the exit code: 0 succeeded, 10 failed, 11 rolled back, 12 cancelled,
13 superseded, 14 needs an operator. With -o json, progress goes to standard error.

Examples:
  deployd deploy shop/development
  deployd deploy shop/development --image frontend=registry.test/shop/frontend:1.4
  deployd deploy shop/production --set shop/staging -m 'as it is in staging'
  deployd deploy shop/production --set sha256:5f2a... --expect-plan sha256:09c1...
  deployd deploy shop/production --delta hotfix.yaml --comment 'hotfix 4711' --no-watch -o json
  deployd deploy shop/production --at 2026-12-01T06:00+01:00 --expires 2026-12-01T08:00+01:00
  deployd deploy shop/production --slot 01m8296wc283v7p0evd1pt9hka")]
pub struct DeployArgs {
    /// Where, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// What.
    #[command(flatten)]
    pub selection: Selection,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
    /// Execute nothing but the plan with this digest, as `deployd plan` shows it
    #[arg(long, value_name = "DIGEST")]
    pub expect_plan: Option<Digest>,
    /// Let resources be made anew by another driver, with the loss of what is in the old ones
    #[arg(long)]
    pub confirm_replace: bool,
    /// Why it is deployed although it has not run in the stages before
    #[arg(long, value_name = "REASON")]
    pub unverified: Option<String>,
    /// When it begins.
    #[command(flatten)]
    pub scheduling: Scheduling,
    /// Whether to follow it.
    #[command(flatten)]
    pub watching: Watching,
}

/// Show what a deployment would do.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Nothing is changed. The digest at the end can be given to `deployd deploy --expect-plan`.

Examples:
  deployd plan shop/development
  deployd plan shop/development --image frontend=registry.test/shop/frontend:1.4
  deployd plan shop/production --delta hotfix.yaml -o json | jq -r .digest")]
pub struct PlanArgs {
    /// Where, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// What.
    #[command(flatten)]
    pub selection: Selection,
    /// Show only that objects change, not how
    #[arg(long)]
    pub brief: bool,
}

/// Follow a deployment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit codes: 0 succeeded, 10 failed, 11 rolled back, 12 cancelled, 13 superseded, 14 needs an
operator. A lost connection is taken up again.

Examples:
  deployd watch shop/development
  deployd watch 01jd2k9x7h8f6v3q5w1n4m0zta -o json 2>/dev/null | jq -r .outcome")]
pub struct WatchArgs {
    /// The deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
}

/// Watch a rollout.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Tracks with their pods and what they get of the requests, checks with what they have measured, what it
does or waits for and why, and what can be done about it. With --watch it is shown until the deployment
ends, whose outcome is the exit code as that of `deployd watch`; with -o json, each change is a line. An
environment alone stands for what was asked for there last.

Examples:
  deployd rollout shop/production
  deployd rollout shop/production --watch
  deployd rollout shop/production -o json | jq '.workloads[].tracks'")]
pub struct RolloutArgs {
    /// The deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Go on until the deployment ends
    #[arg(long, short)]
    pub watch: bool,
}

/// A deployment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
An environment alone stands for what runs there.

Examples:
  deployd show shop/production
  deployd show shop/production#12
  deployd show 01jd2k9x7h8f6v3q5w1n4m0zta -o json")]
pub struct ShowArgs {
    /// The deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
}

/// Have a deployment that waits go on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What somebody has paused goes on first; a rollout that its strategy has paused as well is resumed
by resuming it once more. An environment alone stands for what is being deployed there.

Examples:
  deployd resume shop/production
  deployd resume 01jd2k9x7h8f6v3q5w1n4m0zta -m 'looks good'")]
pub struct ResumeArgs {
    /// Which, and why.
    #[command(flatten)]
    pub steered: Steered,
}

/// A rollout that is under way, and why something is wanted of it.
#[derive(Debug, Clone, Args)]
pub struct Steered {
    /// The deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Have a rollout stop where it is.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What is being done comes to its end: what is applied is applied, checks that run go on, and traffic
stays as it is. Nothing more is decided until `deployd resume`. An environment alone stands for what
is being deployed there.

Examples:
  deployd pause shop/production -m 'the night shift looks at it first'
  deployd pause 01jd2k9x7h8f6v3q5w1n4m0zta")]
pub struct PauseArgs {
    /// Which, and why.
    #[command(flatten)]
    pub steered: Steered,
}

/// Have a rollout try again what has failed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
For a rollout that has stopped upon a failure and waits for a person, as strategies do that are
configured so. One that has ended is deployed once more with `deployd redeploy`. An environment
alone stands for what is being deployed there.

Examples:
  deployd retry shop/production
  deployd retry shop/production -m 'the quota is raised'")]
pub struct RetryArgs {
    /// Which, and why.
    #[command(flatten)]
    pub steered: Steered,
}

/// Show a log.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
An environment alone stands for what was asked for there last.
With -f and -o json, each line of the log is a line of JSON.

Examples:
  deployd logs shop/development
  deployd logs 01jd2k9x7h8f6v3q5w1n4m0zta -f")]
pub struct LogsArgs {
    /// The deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Go on until the deployment ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only lines after this one
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub after: u64,
}

/// Look into a deployment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Logs and how the pods were are kept for as long as the environment's type says (`details`), the
rest for ever. Of what runs, how its pods are now is shown, too. An environment alone stands for what
was asked for there last.

Examples:
  deployd debug shop/production
  deployd debug 01jd2k9x7h8f6v3q5w1n4m0zta --lines 2000 -o json > for-the-report.json")]
pub struct DebugArgs {
    /// The deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// How many lines of the end of its log
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub lines: u32,
}

/// List deployments.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd history
  deployd history shop/production --limit 50
  deployd history shop/production -o json | jq -r '.deployments[0].id'")]
pub struct HistoryArgs {
    /// Only of this environment
    #[arg(value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Go on where another page ended: its `next`
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}

/// Show manifests.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
YAML for `kubectl` unless -o json is given. Values of secrets are never in it. An environment alone
stands for what runs there. A directory that is given has to be empty or to have what was written
there before: that is replaced, what somebody has changed or added is left alone.

Examples:
  deployd manifests shop/production > all.yaml
  deployd manifests shop/production@2026-11-14T14:00 -o json
  deployd manifests 01jd2k9x7h8f6v3q5w1n4m0zta --out rendered/")]
pub struct ManifestsArgs {
    /// The deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Write one file per object to this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write over files there that are not as they were written
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// End a deployment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
An environment alone stands for what is being deployed there.

Examples:
  deployd cancel shop/production -m 'wrong image'
  deployd abort shop/production -m 'latency'              the same, of a rollout
  deployd cancel 01jd2k9x7h8f6v3q5w1n4m0zta --reason 'wrong image'")]
pub struct CancelArgs {
    /// The deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Deploy once more what was deployed before.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The set is the same; values and resources are those of today. With --exact it is the very manifests
that were deployed then, by the strategy of then; nothing is resolved anew, no driver is asked, and
it is refused, with the list of reasons, where what the manifests name is not as it was.

Examples:
  deployd redeploy shop/production#12 --exact
  deployd redeploy shop/production                      the same once more
  deployd redeploy 01jd2k9x7h8f6v3q5w1n4m0zta --comment 'back to Tuesday'
  deployd redeploy 01jd2k9x7h8f6v3q5w1n4m0zta --confirm-replace")]
pub struct RedeployArgs {
    /// The earlier deployment: an id (or how it begins), APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
    /// The very manifests of then, nothing resolved anew
    #[arg(long, conflicts_with = "confirm_replace")]
    pub exact: bool,
    /// Let resources be made anew by another driver, with the loss of what is in the old ones
    #[arg(long)]
    pub confirm_replace: bool,
    /// Whether to follow it.
    #[command(flatten)]
    pub watching: Watching,
}
