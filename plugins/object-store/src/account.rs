//! Signs requests for an access key, and sends them.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use deployd_plugin_sdk::http::{Request, Response};
use deployd_plugin_sdk::{Fault, Host};

use crate::answer::{self, Answer};
use crate::inputs::KeyPair;

/// An access key for a service at an endpoint.
pub(crate) struct Account<'a, H> {
    host: &'a H,
    access_key_id: &'a str,
    secret_key: String,
    origin: &'a str,
    region: &'a str,
    service: Service,
}

/// Which service a signature is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    Iam,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Iam => "iam",
        }
    }
}

impl<'a, H: Host> Account<'a, H> {
    /// Reveals the key's secret half: a signature can't be made without it.
    pub(crate) fn open(
        host: &'a H,
        pair: &'a KeyPair,
        service: Service,
        origin: &'a str,
        region: &'a str,
    ) -> Result<Self, Fault> {
        let path = "/inputs/admin/secret_key_secret";
        let secret_key = host.reveal_text(path, &pair.secret_key_secret)?;
        let access_key_id = pair.access_key_id.as_str();
        Ok(Self { host, access_key_id, secret_key, origin, region, service })
    }

    /// Sends a request to a path with its query, and takes the answer as it is.
    pub(crate) fn send(&self, method: &str, path: &str, body: Body) -> Result<Answer, Fault> {
        let mut request = Request::new(method, format!("{}{path}", self.origin)).body(body.bytes);
        request.headers = body.headers;
        let signed = self.signed(request)?;
        let response: Response = self.host.http(&signed)?;
        answer::read(self.host, response)
    }

    /// The request with the headers of its signature.
    pub(crate) fn signed(&self, mut request: Request) -> Result<Request, Fault> {
        let unsignable =
            |why: String| Fault::permanent(format!("the request can't be signed: {why}"));
        let key = Credentials::new(self.access_key_id, &self.secret_key, None, None, "grant");
        let identity = key.into();
        let mut settings = SigningSettings::default();
        if self.service == Service::S3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service.name())
            .time(UNIX_EPOCH + Duration::from_millis(self.host.now_ms()))
            .settings(settings)
            .build()
            .map_err(|error| unsignable(error.to_string()))?
            .into();
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(&request.method, &request.url, headers, body)
            .map_err(|error| unsignable(error.to_string()))?;
        let (instructions, _) =
            sign(signable, &params).map_err(|error| unsignable(error.to_string()))?.into_parts();
        let added: Vec<(String, String)> = instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        request.headers.extend(added);
        Ok(request)
    }
}

/// The body of a request, with the headers that speak of it.
#[derive(Default)]
pub(crate) struct Body {
    headers: Vec<(String, String)>,
    bytes: Vec<u8>,
}

impl Body {
    /// No body.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// XML, with the checksum that S3 demands for some requests.
    pub(crate) fn xml(text: String) -> Self {
        use base64::Engine as _;
        use sha2::{Digest, Sha256};
        let checksum =
            base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
        Self {
            headers: vec![
                ("content-type".to_owned(), "application/xml".to_owned()),
                ("x-amz-sdk-checksum-algorithm".to_owned(), "SHA256".to_owned()),
                ("x-amz-checksum-sha256".to_owned(), checksum),
            ],
            bytes: text.into_bytes(),
        }
    }

    /// A form of the IAM API.
    pub(crate) fn form(fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        Self {
            headers: vec![(
                "content-type".to_owned(),
                "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
            )],
            bytes: form.finish().into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;

    /// The example "GET Bucket Lifecycle" of Amazon's description of the header
    /// with the signature.
    #[test]
    fn a_signature_is_that_of_amazons_example() {
        let host = FakeHost::new()
            .grant_secret("key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n")
            .at_ms(1_369_353_600_000);
        let pair = KeyPair {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key_secret: "key".to_owned(),
        };
        let origin = "https://examplebucket.s3.amazonaws.com";
        let account = Account::open(&host, &pair, Service::S3, origin, "us-east-1").unwrap();
        let signed = account.signed(Request::get(format!("{origin}/?lifecycle"))).unwrap();
        let header = |wanted: &str| {
            let found = signed.headers.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        assert_eq!(header("x-amz-date"), "20130524T000000Z");
        assert!(
            header("authorization").ends_with(
                "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
            ),
            "{}",
            header("authorization")
        );
    }
}
