//! Values of arguments that have a form of their own.

use std::str::FromStr;

use deployd_core::Digest;

/// `WORKLOAD[/CONTAINER]=IMAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageChange {
    /// The workload.
    pub workload: String,
    /// The container; the workload's only one when not given.
    pub container: Option<String>,
    /// The new image.
    pub image: String,
}

impl FromStr for ImageChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("found {text:?}, expected WORKLOAD=IMAGE or WORKLOAD/CONTAINER=IMAGE");
        let (place, image) = text.split_once('=').ok_or_else(wrong)?;
        let (workload, container) = match place.split_once('/') {
            Some((workload, container)) => (workload, Some(container)),
            None => (place, None),
        };
        let empty = [Some(workload), container, Some(image)].iter().flatten().any(|t| t.is_empty());
        if empty || container.is_some_and(|container| container.contains('/')) {
            return Err(wrong());
        }
        Ok(Self {
            workload: workload.to_owned(),
            container: container.map(ToOwned::to_owned),
            image: image.to_owned(),
        })
    }
}

/// How many of something: at least one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("found {text:?}, expected how many: 1 or more")),
        Ok(count) => Ok(count),
    }
}

/// `REPOSITORY[:TAG]@DIGEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// Without tag and digest.
    pub repository: String,
    /// The tag, if there was one.
    pub tag: Option<String>,
    /// Of the manifest.
    pub digest: Digest,
}

impl FromStr for ImageReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, digest) = text.split_once('@').ok_or_else(|| {
            format!("found {text:?}, expected REPOSITORY@sha256:...: tags move, digests do not")
        })?;
        let digest = digest.parse().map_err(|error| format!("{error}"))?;
        // A colon before the last slash is of a port.
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name.rfind(':').filter(|colon| *colon >= last) {
            Some(colon) => (name.get(..colon), name.get(colon + 1..)),
            None => (Some(name), None),
        };
        let repository = repository.unwrap_or_default();
        if repository.is_empty() || repository.ends_with('/') || tag.is_some_and(str::is_empty) {
            return Err(format!("found {text:?}, expected REPOSITORY@sha256:..."));
        }
        Ok(Self { repository: repository.to_owned(), tag: tag.map(ToOwned::to_owned), digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_changes() {
        for (text, expected) in [
            ("web=r/web:1", Some(("web", None, "r/web:1"))),
            ("web/nginx=r/web@sha256:0", Some(("web", Some("nginx"), "r/web@sha256:0"))),
            ("web=a=b", Some(("web", None, "a=b"))),
            ("web", None),
            ("=x", None),
            ("web=", None),
            ("web/=x", None),
            ("a/b/c=x", None),
        ] {
            let found: Option<ImageChange> = text.parse().ok();
            let found =
                found.as_ref().map(|i| (&*i.workload, i.container.as_deref(), i.image.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn image_references() {
        let digest = Digest::of(b"x");
        for (name, expected) in [
            ("r.test/web", Some(("r.test/web", None))),
            ("r.test/web:1.2", Some(("r.test/web", Some("1.2")))),
            ("r.test:5000/web", Some(("r.test:5000/web", None))),
            ("r.test:5000/web:x", Some(("r.test:5000/web", Some("x")))),
            ("web:x", Some(("web", Some("x")))),
            ("", None),
            ("r.test/", None),
            ("web:", None),
        ] {
            let found: Option<ImageReference> = format!("{name}@{digest}").parse().ok();
            let found = found.as_ref().map(|r| (r.repository.as_str(), r.tag.as_deref()));
            assert_eq!(found, expected, "{name}");
        }
        assert!("web:1".parse::<ImageReference>().unwrap_err().contains("digests do not"));
        assert!("web@sha256:1".parse::<ImageReference>().is_err());
    }
}
