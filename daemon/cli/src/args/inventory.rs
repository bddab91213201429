//! Arguments of commands about what is where, and was.

use std::str::FromStr;

use clap::{Args, Subcommand};
use deployd_core::image::ImageQuery;
use deployd_core::subject::{Moment, ago_of};
use deployd_core::{EnvironmentId, Name, Timestamp};

/// A point in time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointInTime {
    /// A point in time.
    At(Timestamp),
    /// So many milliseconds ago.
    Ago(u64),
}

impl PointInTime {
    /// The point, as of now.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ms) => Timestamp(now.0.saturating_sub(ms)),
        }
    }
}

impl FromStr for PointInTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (ago_of(text), text.parse::<Moment>()) {
            (Some(ms), _) => Ok(Self::Ago(ms)),
            (None, Ok(Moment(at))) => Ok(Self::At(at)),
            (None, Err(error)) => Err(format!("{error}; or 30min, 12h, 7d or 4w ago")),
        }
    }
}

/// Which image runs where.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Times are 2026-11-14T14:00 (UTC), 2026-11-14, or 30min, 12h, 7d, 4w ago.

Examples:
  deployd inventory
  deployd inventory shop --at 2026-11-14T14:00
  deployd inventory --type production -o csv > production.csv
  deployd inventory where registry.test/shop/frontend:1.4
  deployd inventory path registry.test/shop/frontend:1.4 --before shop/production"
)]
pub struct InventoryArgs {
    /// Only of this application
    #[arg(value_name = "APP")]
    pub application: Option<Name>,
    /// What ran then
    #[arg(long, value_name = "TIME")]
    pub at: Option<PointInTime>,
    /// Only environments of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub environment_type: Option<Name>,
    /// Or else another question.
    #[command(subcommand)]
    pub command: Option<InventoryCommand>,
}

/// A question to the inventory.
#[derive(Debug, Clone, Subcommand)]
pub enum InventoryCommand {
    /// Where an image is and was: by repository, tag or digest
    Where(WhereArgs),
    /// Where an image was before it came to an environment, and how it was checked there
    Path(PathArgs),
    /// Which images have a package, and where these are and were
    Package(PackageArgs),
}

/// Which images have a package.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Packages are those of the bills of materials that were attached with `deployd artifact attach`.

Examples:
  deployd inventory package openssl
  deployd inventory package openssl@3.0.2 --now
  deployd inventory package @angular/core -o csv")]
pub struct PackageArgs {
    /// The package, with its group where it has one: NAME or NAME@VERSION
    #[arg(value_name = "NAME[@VERSION]")]
    pub package: String,
    /// Only where it is now
    #[arg(long)]
    pub now: bool,
    /// At most so many images [default: 200 in a table, all otherwise]
    #[arg(long, value_name = "COUNT", value_parser = super::values::count)]
    pub limit: Option<usize>,
}

/// Where an image is and was.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A repository alone is where it is now; --ever has all that was there.

Examples:
  deployd inventory where registry.test/shop/frontend
  deployd inventory where registry.test/shop/frontend:1.4
  deployd inventory where sha256:5f2a... --at 7d
  deployd inventory where registry.test/shop/frontend --ever -o csv")]
pub struct WhereArgs {
    /// The image: REPOSITORY, REPOSITORY:TAG, REPOSITORY@DIGEST or DIGEST
    #[arg(value_name = "IMAGE")]
    pub image: ImageQuery,
    /// Only where it is now
    #[arg(long, conflicts_with_all = ["ever", "at"])]
    pub now: bool,
    /// Also where it was before, and where its deployment failed
    #[arg(long, conflicts_with = "at")]
    pub ever: bool,
    /// Only where it was then
    #[arg(long, value_name = "TIME")]
    pub at: Option<PointInTime>,
    /// At most so many [default: 500 in a table, all otherwise]
    #[arg(long, value_name = "COUNT", value_parser = super::values::count)]
    pub limit: Option<usize>,
}

/// The way of an image to an environment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd inventory path registry.test/shop/frontend:1.4 --before shop/production
  deployd inventory path registry.test/shop/frontend@sha256:5f2a... --before shop/production -o json")]
pub struct PathArgs {
    /// The image: REPOSITORY:TAG, REPOSITORY@DIGEST or DIGEST
    #[arg(value_name = "IMAGE")]
    pub image: ImageQuery,
    /// The environment, as application/environment
    #[arg(long, value_name = "APP/ENV")]
    pub before: EnvironmentId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_or_ago() {
        let now = Timestamp(10 * 86_400_000);
        for (text, expected) in [
            ("7d", Some(3 * 86_400_000)),
            ("12h", Some(9 * 86_400_000 + 43_200_000)),
            ("30min", Some(10 * 86_400_000 - 1_800_000)),
            ("30m", Some(10 * 86_400_000 - 1_800_000)),
            ("900w", Some(0)),
            ("1970-01-02", Some(86_400_000)),
            ("yesterday", None),
            ("d", None),
            ("99999999999999999999d", None),
        ] {
            let at = text.parse::<PointInTime>().ok().map(|point| point.at(now).0);
            assert_eq!(at, expected, "{text}");
        }
    }
}
