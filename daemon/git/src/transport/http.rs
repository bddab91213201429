//! Smart HTTP (`gitprotocol-http`): each question is a request of its own.

use deployd_core::Fault;
use deployd_core::ports::{Exchange, Exchanged};
use url::Url;

use super::{Route, Service};
use crate::address::Address;
use crate::fault;

/// The most that a server may have us wait.
const RETRY_AFTER_SECONDS_MAX: u64 = 3_600;

/// Asks one program.
pub(crate) struct HttpSession<'a> {
    pub(super) route: &'a Route,
    pub(super) service: Service,
}

impl HttpSession<'_> {
    /// What the server tells of itself and the repository.
    pub(super) async fn advertisement(&self) -> Result<Vec<u8>, Fault> {
        let service = self.service.name();
        let url = format!("{}/info/refs?service={service}", self.url());
        let answer = self.exchange("GET", url, Vec::new(), Vec::new()).await?;
        let expected = format!("application/x-{service}-advertisement");
        self.check_type(&answer, &expected)?;
        Ok(answer.body)
    }

    pub(super) async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let service = self.service.name();
        let headers = vec![
            ("content-type".to_owned(), format!("application/x-{service}-request")),
            ("accept".to_owned(), format!("application/x-{service}-result")),
        ];
        let url = format!("{}/{service}", self.url());
        let answer = self.exchange("POST", url, headers, request).await?;
        self.check_type(&answer, &format!("application/x-{service}-result"))?;
        Ok(answer.body)
    }

    fn url(&self) -> &str {
        match &self.route.address {
            Address::Http { url, .. } => url,
            Address::Ssh { .. } => "",
        }
    }

    async fn exchange(
        &self,
        method: &str,
        url: String,
        mut headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Exchanged, Fault> {
        if self.service == Service::UploadPack {
            headers.push(("git-protocol".to_owned(), "version=2".to_owned()));
        }
        let exchange = Exchange { method: method.to_owned(), url, headers, body };
        let route = self.route;
        let answer =
            route.egress.exchange(&route.access, exchange).await.map_err(fault::of_egress)?;
        if answer.status == 200 { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    fn check_type(&self, answer: &Exchanged, expected: &str) -> Result<(), Fault> {
        let found = header(answer, "content-type").unwrap_or_default();
        if found.split(';').next().is_some_and(|found| found.trim().eq_ignore_ascii_case(expected))
        {
            return Ok(());
        }
        let (url, found) = (self.url(), fault::quoted(found.as_bytes()));
        Err(fault::invalid(format!(
            "{url} is no repository of a Git server that speaks smart HTTP: it answers {found:?}, \
             expected {expected}"
        )))
    }

    fn refused(&self, answer: &Exchanged) -> Fault {
        let (url, status, place) = (self.url(), answer.status, self.route.address.place());
        let verb = self.service.verb();
        let said = said(answer);
        match status {
            300..=399 => {
                let target = header(answer, "location").map(leads_to).unwrap_or_default();
                fault::invalid(format!(
                    "{url} answers {status}, and leads to {target:?}, which is not followed; write that \
                     address, if it is the one that is meant"
                ))
            }
            401 if self.has_credential() => fault::denied(format!(
                "{place} answers 401: it does not take the credential that the grant for it names; has it \
                 expired, or been revoked?{said}"
            )),
            401 => fault::denied(format!(
                "{place} answers 401: it wants a credential to {verb} {url}; have the grant for {place} name one{said}"
            )),
            403 => fault::denied(format!(
                "{place} answers 403: the credential is not allowed to {verb} {url}; has it expired, or \
                 does it lack the right?{said}"
            )),
            404 | 410 => fault::not_found(format!(
                "{place} answers {status}: there is no repository at {url}, or the credential is not allowed to see it{said}"
            )),
            429 | 500..=599 | 408 => {
                let wait =
                    header(answer, "retry-after").and_then(|wait| wait.trim().parse::<u64>().ok());
                let wait = wait.map(|wait| wait.min(RETRY_AFTER_SECONDS_MAX).saturating_mul(1_000));
                fault::unreachable(format!("{place} answers {status}{said}"))
                    .with_retry_after_ms(wait)
            }
            413 => fault::too_large_request(format!("{place} takes no request of this size{said}")),
            _ => fault::invalid(format!("{url} answers {status}, expected 200{said}")),
        }
    }

    fn has_credential(&self) -> bool {
        let Address::Http { host, port, scheme, .. } = &self.route.address else { return false };
        self.route.access.grants.iter().any(|grant| {
            grant.credential.is_some()
                && grant.host.eq_ignore_ascii_case(host)
                && grant.port == *port
                && grant.scheme == *scheme
        })
    }
}

fn header<'a>(answer: &'a Exchanged, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// What a server says to people, where that is no page.
fn said(answer: &Exchanged) -> String {
    let is_text = header(answer, "content-type").is_some_and(|kind| kind.starts_with("text/plain"));
    let text = if is_text { fault::quoted(&answer.body) } else { String::new() };
    if text.is_empty() { text } else { format!(": {text}") }
}

/// Where a redirect leads, as the address of a repository: without what stands in it of the
/// request, or of a login.
fn leads_to(location: &str) -> String {
    let Ok(mut url) = Url::parse(location) else {
        return fault::quoted(location.split('?').next().unwrap_or_default().as_bytes());
    };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    let text = url.to_string();
    fault::quoted(text.strip_suffix("/info/refs").unwrap_or(&text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_redirect_leads_is_told_without_what_is_secret() {
        let location =
            "https://me:hush@git.example.com/a.git/info/refs?service=git-upload-pack&token=x";
        assert_eq!(leads_to(location), "https://git.example.com/a.git");
        assert_eq!(leads_to("/login?next=x"), "/login");
    }
}
