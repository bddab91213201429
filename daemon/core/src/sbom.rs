//! Bills of materials: what packages an image has, as CycloneDX (JSON) or SPDX 2
//! (JSON) say it, and how they are found.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::projection::key;
use crate::inventory::Location;
use crate::ports::{Index, KeyRange, Put};
use crate::reference::Reference;
use crate::{Actor, Digest, Timestamp};

/// Digest of an image -> [`Sbom`].
pub const SBOMS: Index = Index("sboms");
/// Name of a package, version, digest of an image -> [`Package`].
pub const PACKAGES: Index = Index("packages");

/// The most packages of one document: they are found by one batch of a store.
/// Images of large JavaScript applications have four thousand.
pub const PACKAGES_MAX: usize = 9_000;

/// The longest name, version and purl that are found again; longer ones are none
/// of any ecosystem.
const NAME_BYTES_MAX: usize = 256;
const VERSION_BYTES_MAX: usize = 128;
const PURL_BYTES_MAX: usize = 1_024;

/// The forms that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SbomFormat {
    /// CycloneDX, as JSON (ECMA-424).
    CycloneDx,
    /// SPDX 2, as JSON (ISO/IEC 5962).
    Spdx,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// Its name, with its group where it has one: `@angular/core`.
    pub name: String,
    /// Its version; empty where none is given.
    pub version: String,
    /// Its package URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
}

/// A bill of materials that is attached to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sbom {
    /// The image.
    pub image: Digest,
    /// The document, by content.
    pub document: Digest,
    /// Its form.
    pub format: SbomFormat,
    /// How many packages it names.
    pub packages: u32,
    /// Who attached it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Where it was fetched from, if it was not posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Reference>,
}

/// An image with a package, and where it is or was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PackageFound {
    /// The package.
    #[serde(flatten)]
    pub package: Package,
    /// The image's digest.
    pub image: Digest,
    /// Where it is or was; none where it never came to an environment.
    pub locations: Vec<Location>,
    /// Whether it is or was in more places: `deployd inventory where` leads to all
    /// of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// A page of images with a package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PackagePage {
    /// Images, by the package's version.
    pub found: Vec<PackageFound>,
    /// To be given as the cursor to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Bytes of a bill of materials: one of an image with four thousand packages has
/// some 5 MB.
pub const SBOM_BYTES_MAX: usize = 16 << 20;

/// Which images are looked for by what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageQuery {
    /// The package's name, with its group where it has one: `@angular/core`.
    pub name: String,
    /// Only of this version.
    pub version: Option<String>,
    /// Only images that run somewhere, and where they do.
    pub now: bool,
}

/// Why a document is no bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SbomError {
    /// It is no JSON, or not as its form says.
    #[error("the document can't be read: {0}")]
    Unreadable(String),
    /// It is another document.
    #[error(
        "found neither \"bomFormat\": \"CycloneDX\" nor \"spdxVersion\": \"SPDX-2...\" at the top; expected a CycloneDX or an SPDX 2 document as JSON"
    )]
    Unknown,
    /// It is SPDX 3, or what comes after.
    #[error("found {0:?}, expected SPDX-2.2 or SPDX-2.3; most tools write these too")]
    Version(String),
    /// It names too much.
    #[error("it names {0} packages, and at most {PACKAGES_MAX} are found again; leave files out")]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Top {
    #[serde(default)]
    bom_format: Option<String>,
    #[serde(default)]
    spdx_version: Option<String>,
}

#[derive(Deserialize)]
struct CycloneDx {
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    purl: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Spdx {
    #[serde(default)]
    packages: Vec<SpdxPackage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    name: String,
    #[serde(default)]
    version_info: Option<String>,
    #[serde(default)]
    external_refs: Vec<ExternalRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_type: String,
    reference_locator: String,
}

/// Packages that a document names, each once.
pub fn packages(document: &[u8]) -> Result<(SbomFormat, Vec<Package>), SbomError> {
    let unreadable = |error: serde_json::Error| SbomError::Unreadable(error.to_string());
    let top: Top = serde_json::from_slice(document).map_err(unreadable)?;
    let (format, mut found) = match (top.bom_format.as_deref(), top.spdx_version) {
        (Some("CycloneDX"), _) => {
            let document: CycloneDx = serde_json::from_slice(document).map_err(unreadable)?;
            let mut found = Vec::new();
            // What is inside of what is no deeper than JSON may be.
            let mut left: Vec<Component> = document.components;
            while let Some(component) = left.pop() {
                left.extend(component.components);
                if component.kind.as_deref() == Some("file") {
                    continue;
                }
                let name = match component.group.filter(|group| !group.is_empty()) {
                    Some(group) => format!("{group}/{}", component.name),
                    None => component.name,
                };
                let version = component.version.unwrap_or_default();
                found.push(Package { name, version, purl: component.purl });
            }
            (SbomFormat::CycloneDx, found)
        }
        (_, Some(version)) if version.starts_with("SPDX-2.") => {
            let document: Spdx = serde_json::from_slice(document).map_err(unreadable)?;
            let of = |package: SpdxPackage| Package {
                name: package.name,
                version: package.version_info.unwrap_or_default(),
                purl: package
                    .external_refs
                    .into_iter()
                    .find(|reference| reference.reference_type == "purl")
                    .map(|reference| reference.reference_locator),
            };
            (SbomFormat::Spdx, document.packages.into_iter().map(of).collect())
        }
        (_, Some(version)) => return Err(SbomError::Version(version.chars().take(40).collect())),
        _ => return Err(SbomError::Unknown),
    };
    for package in &mut found {
        package.purl = package.purl.take().filter(|purl| purl.len() <= PURL_BYTES_MAX);
    }
    found.retain(|package| {
        let strange = |text: &str| text.contains(char::is_control);
        !package.name.is_empty()
            && package.name.len() <= NAME_BYTES_MAX
            && package.version.len() <= VERSION_BYTES_MAX
            && !strange(&package.name)
            && !strange(&package.version)
    });
    // Of those that are named twice, one that has a purl stays.
    found.sort_by_cached_key(|package| {
        (package.name.clone(), package.version.clone(), package.purl.is_none())
    });
    found.dedup_by(|a, b| (&a.name, &a.version) == (&b.name, &b.version));
    if found.len() > PACKAGES_MAX {
        return Err(SbomError::TooMany(found.len()));
    }
    Ok((format, found))
}

/// What changes of the packages of an image: those that were, and are no more,
/// and all those that are. Also what was there before is written: a change that
/// was broken off may have taken it out.
pub fn changes(
    image: Digest,
    before: &[Package],
    after: &[Package],
) -> Result<(Vec<Put>, Vec<Put>), serde_json::Error> {
    let puts = |packages: &[Package]| -> Result<BTreeMap<Vec<u8>, Vec<u8>>, serde_json::Error> {
        let put =
            |package: &Package| Ok((package_key(package, image), serde_json::to_vec(package)?));
        packages.iter().map(put).collect()
    };
    let (before, after) = (puts(before)?, puts(after)?);
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| Put { index: PACKAGES, key: key.clone(), value: None }).collect();
    let put = |(key, value)| Put { index: PACKAGES, key, value: Some(value) };
    Ok((gone, after.into_iter().map(put).collect()))
}

fn package_key(package: &Package, image: Digest) -> Vec<u8> {
    let rest = key(&package.version, image.to_string().as_bytes());
    key(&package.name.to_lowercase(), &rest)
}

/// The keys of all images with a package, of one version or of any.
pub fn images_with(name: &str, version: Option<&str>) -> KeyRange {
    let name = name.to_lowercase();
    KeyRange::prefix(&match version {
        Some(version) => key(&name, &key(version, &[])),
        None => key(&name, &[]),
    })
}

/// The image in the key of a package.
pub fn image_with(bytes: &[u8]) -> Option<Digest> {
    std::str::from_utf8(bytes.rsplit(|byte| *byte == 0).next()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "json!(…) reads better without a & before it"
    )]
    fn read(document: serde_json::Value) -> Result<(SbomFormat, Vec<Package>), SbomError> {
        packages(document.to_string().as_bytes())
    }

    fn package(name: &str, version: &str, purl: Option<&str>) -> Package {
        Package { name: name.into(), version: version.into(), purl: purl.map(ToOwned::to_owned) }
    }

    #[test]
    fn both_forms_are_read() {
        let cyclonedx = json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"anything": [1]},
            "components": [
                {"type": "library", "group": "@angular", "name": "core", "version": "17.0.1",
                 "purl": "pkg:npm/%40angular/core@17.0.1",
                 "components": [{"type": "library", "name": "inner"}]},
                {"type": "file", "name": "/etc/passwd"},
                {"type": "library", "name": "inner"},
            ],
        });
        let (format, found) = read(cyclonedx).unwrap();
        assert_eq!(format, SbomFormat::CycloneDx);
        let purl = Some("pkg:npm/%40angular/core@17.0.1");
        assert_eq!(found, [package("@angular/core", "17.0.1", purl), package("inner", "", None)]);
        let spdx = json!({
            "spdxVersion": "SPDX-2.3", "packages": [
                {"name": "openssl", "versionInfo": "3.0.2", "SPDXID": "x", "externalRefs": [
                    {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "c"},
                    {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:deb/debian/openssl@3.0.2"},
                ]},
            ],
        });
        let (format, found) = read(spdx).unwrap();
        let purl = Some("pkg:deb/debian/openssl@3.0.2");
        assert_eq!((format, found), (SbomFormat::Spdx, vec![package("openssl", "3.0.2", purl)]));
    }

    #[test]
    fn other_documents_are_refused_with_what_was_expected() {
        let many: Vec<_> = (0..=PACKAGES_MAX).map(|n| json!({"name": format!("p{n}")})).collect();
        for (document, expected) in [
            (json!({}), "found neither"),
            (json!({"bomFormat": "Other"}), "found neither"),
            (json!([1]), "can't be read"),
            (json!({"spdxVersion": "SPDX-3.0"}), "expected SPDX-2.2"),
            (json!({"bomFormat": "CycloneDX", "components": {}}), "can't be read"),
            (
                json!({"bomFormat": "CycloneDX", "components": [{"version": "1"}]}),
                "missing field `name`",
            ),
            (json!({"bomFormat": "CycloneDX", "components": many}), "names 9001 packages"),
        ] {
            let error = read(document).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        for bytes in [&b""[..], b"{", b"\xff\xfe", b"null"] {
            assert!(matches!(packages(bytes), Err(SbomError::Unreadable(_))), "{bytes:?}");
        }
        let deep = format!(
            "{{\"bomFormat\":\"CycloneDX\",\"components\":{}{}}}",
            "[{\"name\":\"a\",\"components\":".repeat(500),
            "[]".to_owned() + &"}]".repeat(500)
        );
        assert!(packages(deep.as_bytes()).unwrap_err().to_string().contains("recursion"));
    }

    #[test]
    fn strange_packages_are_left_out_and_others_found() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let document = json!({"spdxVersion": "SPDX-2.3", "packages": [
            {"name": long}, {"name": "zero\0"}, {"name": ""}, {"name": "Good", "versionInfo": "1"},
        ]});
        let (_, found) = read(document).unwrap();
        assert_eq!(found, [package("Good", "1", None)]);
        let image = Digest::of(b"image");
        let (gone, new) = changes(image, &[package("old", "1", None)], &found).unwrap();
        assert_eq!((gone.len(), new.len()), (1, 1));
        assert_eq!(image_with(&new[0].key), Some(image));
        for range in [images_with("good", None), images_with("GOOD", Some("1"))] {
            assert!(new[0].key.starts_with(&range.start));
        }
        assert!(!new[0].key.starts_with(&images_with("goo", None).start));
        // Also what was there is written: it may have been taken out.
        assert_eq!(changes(image, &found, &found).unwrap(), (Vec::new(), new));
    }

    #[test]
    fn of_two_with_one_name_and_version_one_with_a_purl_stays() {
        let document = json!({"bomFormat": "CycloneDX", "components": [
            {"name": "zlib", "version": "1.3"},
            {"name": "zlib", "version": "1.3", "purl": "pkg:generic/zlib@1.3"},
        ]});
        let (_, found) = read(document).unwrap();
        assert_eq!(found, [package("zlib", "1.3", Some("pkg:generic/zlib@1.3"))]);
    }
}
