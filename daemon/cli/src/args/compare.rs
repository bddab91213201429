//! Arguments of commands that compare, and that make sets of sets.

use clap::{Args, Subcommand, ValueEnum};
use deployd_core::Name;
use deployd_core::compare::PartName;
use deployd_core::subject::Subject;

/// Ways to name a deployment or a set, for the help.
const SUBJECTS: &str = "\
A deployment or set is named by its id or digest (or how it begins), or by where it runs:
  shop/production                     what runs there
  shop/production@2026-11-14T14:00    what ran there then (UTC; or with an offset)
  shop/production@7d                  what ran there a week ago (or 30min, 12h, 4w)
  shop/production#12                  the twelfth deployment there
  01jd2k9x7h                          a deployment
  sha256:5f2a1c                       a set
";

/// How differences are shown.
#[derive(Debug, Clone, Default, Args)]
pub struct Showing {
    /// Only this part
    #[arg(long, value_name = "PART")]
    pub part: Option<Part>,
    /// As a unified diff of YAML, for `patch` and other tools: of sets and manifests, or of PART
    #[arg(long, short)]
    pub unified: bool,
    /// Print only the delta that makes the one set of the other, for `deployd patch` and `deploy --delta`
    #[arg(long, conflicts_with_all = ["unified", "part"])]
    pub delta: bool,
    /// Exit with 15 when anything differs, with 16 when nothing does and not all could be compared
    #[arg(long)]
    pub exit_code: bool,
}

/// A part of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// What does not depend on an environment
    Set,
    /// The environment's values, and whether secrets have the same ones
    Values,
    /// Definitions, drivers, inputs and outputs; templater and strategy
    Resources,
    /// The Kubernetes objects
    Manifests,
}

impl From<Part> for PartName {
    fn from(part: Part) -> Self {
        match part {
            Part::Set => Self::Set,
            Part::Values => Self::Values,
            Part::Resources => Self::Resources,
            Part::Manifests => Self::Manifests,
        }
    }
}

/// Compare two deployments or sets.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("\
{SUBJECTS}
Values of secrets are never shown: of them, it is told whether they are the same. Left out are what a
server adds to objects, and labels with the names of application and environment.

Examples:
  deployd diff shop/production@2026-11-14 shop/production
  deployd diff shop/production#11 shop/production#12 --part manifests
  deployd diff shop/staging shop/production --unified | less
  deployd diff shop/staging#7 shop/staging --delta > change.yaml"))]
pub struct DiffArgs {
    /// From
    #[arg(value_name = "A")]
    pub a: Subject,
    /// To
    #[arg(value_name = "B")]
    pub b: Subject,
    /// How.
    #[command(flatten)]
    pub showing: Showing,
}

/// Compare what runs in two environments.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
An environment's name is enough where only one application has an environment of that name.

Examples:
  deployd env diff shop/staging shop/production
  deployd env diff staging production --part values")]
pub struct EnvironmentDiffArgs {
    /// From: application/environment
    #[arg(value_name = "A")]
    pub a: String,
    /// To: application/environment
    #[arg(value_name = "B")]
    pub b: String,
    /// How.
    #[command(flatten)]
    pub showing: Showing,
}

/// Make a set of another one.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("\
With --delta, A's set is changed by the delta. With --onto, what changed from A to B is applied to the
set of another environment: a three-way merge. What both sides have changed differently is shown, and
nothing is made, unless --ours or --theirs says whose counts.

The new set is kept, and its digest printed: `deployd plan APP/ENV --set DIGEST` shows what it would do,
`deployd deploy APP/ENV --set DIGEST` deploys it.

{SUBJECTS}
Examples:
  deployd patch shop/production --delta hotfix.yaml
  deployd patch shop/staging#7 shop/staging#8 --onto shop/production
  deployd patch shop/staging#7 shop/staging --onto shop/production --theirs"))]
pub struct PatchArgs {
    /// Whose set is changed; with --onto, from where
    #[arg(value_name = "A")]
    pub a: Subject,
    /// With --onto, to where
    #[arg(value_name = "B", requires = "onto", conflicts_with = "delta")]
    pub b: Option<Subject>,
    /// The delta: a file of JSON or YAML, or - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "onto")]
    pub delta: Option<String>,
    /// What the change from A to B is applied to
    #[arg(long, value_name = "SUBJECT", requires = "b")]
    pub onto: Option<Subject>,
    /// Where both sides have changed the same, keep what is there
    #[arg(long, requires = "onto", conflicts_with = "theirs")]
    pub ours: bool,
    /// Where both sides have changed the same, take what the change brings
    #[arg(long, requires = "onto")]
    pub theirs: bool,
}

/// Something to do with sets.
#[derive(Debug, Clone, Subcommand)]
pub enum SetCommand {
    /// Show a set: all of an application's configuration that does not depend on an environment
    Show(SetShowArgs),
    /// List the sets of an application, newest first, with where each runs
    List(SetListArgs),
}

/// Show a set.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("\
{SUBJECTS}
Examples:
  deployd set show shop/production
  deployd set show sha256:5f2a1c -o json | jq .workloads"))]
pub struct SetShowArgs {
    /// Which
    #[arg(value_name = "SUBJECT")]
    pub subject: Subject,
}

/// List sets.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd set list shop
  deployd set list shop -o json | jq -r '.sets[0].digest'")]
pub struct SetListArgs {
    /// The application
    #[arg(value_name = "APP")]
    pub application: Name,
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Go on where another page ended: its `next`
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}
