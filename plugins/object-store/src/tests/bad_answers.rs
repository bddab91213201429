//! What servers answer when something is wrong.

use super::*;

fn provisioned_with(answer: http::Response) -> Fault {
    let host = answering(move |_| Ok(answer.clone()));
    provision(&request(&inputs("https://s3.example", &json!({}))), &host).unwrap_err()
}

fn error(status: u16, code: &str, more: &str) -> http::Response {
    let body = format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>words</Message>{more}</Error>"
    );
    http::Response::new(status).with_body(body)
}

#[test]
fn who_asks_for_time_gets_it() {
    let slow = error(503, "SlowDown", "").with_header("Retry-After", "7");
    let fault = provisioned_with(slow);
    let Fault::Unavailable { message, after } = fault else { panic!("{fault}") };
    assert!(message.contains("asks for fewer requests"), "{message}");
    assert_eq!(after, Some(Duration::from_secs(7)));
    for answer in [
        http::Response::new(500),
        http::Response::new(502).with_body("<html>"),
        http::Response::new(429),
        error(400, "RequestTimeout", ""),
        error(409, "OperationAborted", ""),
    ] {
        let status = answer.status;
        let fault = provisioned_with(answer);
        assert!(matches!(fault, Fault::Unavailable { .. }), "{status}: {fault}");
    }
}

#[test]
fn a_clock_that_is_off_is_said_with_both_times() {
    let answer =
        error(403, "RequestTimeTooSkewed", "").with_header("Date", "Sat, 21 Nov 2026 01:00:00 GMT");
    let fault = provisioned_with(answer);
    let Fault::Unavailable { message, after } = fault else { panic!("{fault}") };
    assert!(message.contains("01:00:00") && message.contains("1795230000"), "{message}");
    assert_eq!(after, Some(Duration::from_secs(60)));
}

#[test]
fn redirects_are_not_followed_and_name_the_region() {
    let moved = error(301, "PermanentRedirect", "<Endpoint>s3.eu-west-1.example</Endpoint>")
        .with_header("x-amz-bucket-region", "eu-west-1")
        .with_header("Location", "https://evil.example/");
    let wrong = error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>");
    for answer in [moved, wrong] {
        let host = answering(move |_| Ok(answer.clone()));
        let request = request(&inputs("https://s3.example", &json!({})));
        let fault = provision(&request, &host).unwrap_err();
        let Fault::Invalid(fields) = &fault else { panic!("{fault}") };
        assert_eq!(fields[0].path, "/inputs/region");
        assert!(fields[0].message.contains("\"eu-west-1\""), "{fault}");
        assert_eq!(host.requests().len(), 1);
        assert!(host.requests()[0].url.starts_with("https://s3.example/"));
    }
}

#[test]
fn refusals_are_told_apart() {
    type Judge = fn(&Fault) -> bool;
    let table: [(http::Response, Judge); 6] = [
        (error(403, "AccessDenied", ""), |fault| matches!(fault, Fault::Denied(_))),
        (error(403, "InvalidAccessKeyId", ""), |fault| matches!(fault, Fault::Denied(_))),
        (error(403, "SignatureDoesNotMatch", ""), |fault| matches!(fault, Fault::Denied(_))),
        (error(400, "ExpiredToken", ""), |fault| matches!(fault, Fault::Denied(_))),
        (error(501, "NotImplemented", ""), |fault| matches!(fault, Fault::Unsupported(_))),
        (http::Response::new(418), |fault| matches!(fault, Fault::Permanent(_))),
    ];
    for (answer, expected) in table {
        let fault = provisioned_with(answer);
        assert!(expected(&fault), "{fault:?}");
        assert!(!fault.to_string().contains(ADMIN.1));
    }
}

#[test]
fn what_is_no_xml_of_its_kind_is_not_quoted() {
    let bomb =
        "<!DOCTYPE a [<!ENTITY x \"hunter2\"><!ENTITY y \"&x;&x;&x;\">]><Tagging>&y;</Tagging>";
    let deep = format!("{}{}", "<TagSet>".repeat(200_000), "</TagSet>".repeat(200_000));
    let many = format!("<Tagging><TagSet>{}</TagSet></Tagging>", "<Tag/>".repeat(200_000));
    for body in ["", "hunter2", "<Tagging><TagSet>", bomb, &deep, &many, "<Tagging/>", "<a/><b/>"] {
        let fault = provisioned_with(http::Response::new(200).with_body(body));
        assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
    }
    let fault = provisioned_with(http::Response::new(200).with_body([0xff, 0xfe, 0x00]));
    assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
}

#[test]
fn a_bucket_of_another_account_is_a_conflict() {
    let host = answering(|request| {
        Ok(match request.method.as_str() {
            "GET" => error(404, "NoSuchBucket", ""),
            _ => error(409, "BucketAlreadyExists", ""),
        })
    });
    let request = request(&inputs("https://s3.example", &json!({})));
    let fault = provision(&request, &host).unwrap_err();
    assert!(matches!(&fault, Fault::Conflict(text) if text.contains("shared by all")), "{fault}");
}

#[test]
fn a_region_is_named_when_a_bucket_is_made() {
    let host = answering(|request| {
        Ok(match request.method.as_str() {
            "GET" => error(404, "NoSuchBucket", ""),
            _ => error(403, "AccessDenied", ""),
        })
    });
    let request = request(&inputs("https://s3.example", &json!({"region": "eu-west-1"})));
    provision(&request, &host).unwrap_err();
    let sent = host.requests().pop().unwrap();
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str()),
        ("PUT", "https://s3.example/shop-uploads")
    );
    let body = String::from_utf8(sent.body).unwrap();
    assert!(body.contains("<LocationConstraint>eu-west-1</LocationConstraint>"), "{body}");
    let authorization = &sent.headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
    assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
}

/// A bucket of ours that lists one object, whatever is removed.
fn never_empty(query: &str) -> http::Response {
    let body = match query {
        "?tagging" => {
            "<Tagging><TagSet><Tag><Key>deployd.dev/uid</Key><Value>res-0001</Value></Tag></TagSet>\
             </Tagging>"
        }
        "?delete=" => "<DeleteResult/>",
        _ => {
            "<ListVersionsResult><EncodingType>url</EncodingType><Version><Key>a%2Fb+c</Key>\
             <VersionId>1</VersionId></Version></ListVersionsResult>"
        }
    };
    http::Response::new(200).with_body(body)
}

#[test]
fn a_bucket_that_does_not_get_empty_is_not_emptied_for_ever() {
    let host = answering(|request| {
        let query = request.url.rsplit('/').next().unwrap_or_default();
        Ok(never_empty(query.strip_prefix("shop-uploads").unwrap_or_default()))
    });
    let more = json!({"on_destroy": "delete", "credentials": {"mode": "given",
        "access_key_id": "A", "secret_key_secret": "admin"}});
    let fault = destroy(&request(&inputs("https://s3.example", &more)), &host).unwrap_err();
    assert!(matches!(&fault, Fault::Permanent(_)), "{fault}");
    let deleted = host.requests().into_iter().find(|request| request.method == "POST").unwrap();
    let body = String::from_utf8(deleted.body).unwrap();
    assert!(body.contains("<Key>a/b c</Key>"), "{body}");
}

/// Who stands before a server that is gone: an ingress without a backend.
#[test]
fn an_answer_of_something_else_is_not_the_end_of_a_bucket() {
    for body in ["default backend - 404", "", "<html><body>404</body></html>"] {
        let host = answering(move |_| Ok(http::Response::new(404).with_body(body)));
        let mut request = request(&inputs("https://s3.example", &json!({})));
        request.state = Some(state());
        for fault in [
            destroy(&request, &host).unwrap_err(),
            provision(&request, &host).unwrap_err(),
            ObjectStore::observe(&request, &host).unwrap_err(),
        ] {
            assert!(matches!(&fault, Fault::Unavailable { .. }), "{body}: {fault}");
            assert!(fault.to_string().contains("is it the endpoint?"), "{fault}");
        }
    }
}

/// A bucket of ours that lists nothing, and is not removed while `uploads` says so.
fn stubborn(uploads: impl Fn(&http::Request) -> Option<String> + 'static) -> FakeHost {
    answering(move |request| {
        let path = request.url.strip_prefix("https://s3.example/shop-uploads").unwrap();
        let listed = uploads(request);
        Ok(match (request.method.as_str(), path) {
            ("GET", "?tagging") => never_empty("?tagging"),
            ("GET", path) if path.ends_with("&versions=") => {
                http::Response::new(200).with_body("<ListVersionsResult/>")
            }
            ("GET", path) if path.ends_with("&uploads=") => {
                http::Response::new(200).with_body(listed.unwrap_or_default())
            }
            ("DELETE", "") if listed.is_some() => error(409, "BucketNotEmpty", ""),
            ("DELETE", _) => http::Response::new(204),
            other => panic!("{other:?}"),
        })
    })
}

fn deleting() -> Request<ObjectStore> {
    let more = json!({"on_destroy": "delete", "credentials": {"mode": "given",
        "access_key_id": "A", "secret_key_secret": "admin"}});
    request(&inputs("https://s3.example", &more))
}

#[test]
fn unfinished_uploads_are_ended() {
    let left = std::cell::Cell::new(true);
    let host = stubborn(move |request| {
        if request.url.ends_with("/a/b%20c?uploadId=1%2B2") {
            assert_eq!(request.method, "DELETE");
            left.set(false);
        }
        left.get().then(|| {
            "<ListMultipartUploadsResult><EncodingType>url</EncodingType><Upload><Key>a/b+c</Key>\
             <UploadId>1+2</UploadId></Upload></ListMultipartUploadsResult>"
                .to_owned()
        })
    });
    destroy(&deleting(), &host).unwrap();
}

#[test]
fn a_bucket_that_stays_is_not_waited_for_without_end() {
    let nothing = stubborn(|_| Some("<ListMultipartUploadsResult/>".to_owned()));
    let fault = destroy(&deleting(), &nothing).unwrap_err();
    assert!(matches!(&fault, Fault::Conflict(_)), "{fault}");
    assert!(fault.to_string().contains("neither objects nor unfinished uploads"), "{fault}");
    let the_same = stubborn(|_| {
        let upload = "<Upload><Key>a</Key><UploadId>1</UploadId></Upload>";
        Some(format!("<ListMultipartUploadsResult>{upload}</ListMultipartUploadsResult>"))
    });
    let fault = destroy(&deleting(), &the_same).unwrap_err();
    assert!(matches!(&fault, Fault::Permanent(_)), "{fault}");
}

/// A server that takes ten seconds for each request, as long as one may take.
#[test]
fn one_call_asks_for_one_page() {
    let host = answering(|request| {
        let query = request.url.rsplit('/').next().unwrap_or_default();
        Ok(never_empty(query.strip_prefix("shop-uploads").unwrap_or_default()))
    });
    let Removal::Pending(pending) = ObjectStore::destroy(&deleting(), None, &host).unwrap() else {
        panic!("nothing was removed")
    };
    assert!(pending.message.contains("1 more objects are gone"), "{}", pending.message);
    assert_eq!(host.requests().len(), 3);
}
