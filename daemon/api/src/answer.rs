//! What handlers answer, and its documentation.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use crate::problem::Problem;

/// An answer that an operation can give.
pub(crate) struct Documented {
    /// Its status.
    pub(crate) status: u16,
    /// What it means.
    pub(crate) description: &'static str,
    /// Media types and schemas.
    pub(crate) content: Vec<(&'static str, Value)>,
}

/// What a handler answers with success.
pub(crate) trait Answer: Send {
    /// As it is sent.
    fn answer(self) -> Response;

    /// As it is documented.
    fn document(generator: &mut SchemaGenerator) -> Vec<Documented>;
}

/// A value as a response.
fn json_response<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let content_type = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer can't be written as JSON");
            Problem::internal().into_response()
        }
    }
}

fn documented<T: JsonSchema>(
    generator: &mut SchemaGenerator,
    status: u16,
    description: &'static str,
) -> Documented {
    let schema = generator.subschema_for::<T>().to_value();
    Documented { status, description, content: vec![("application/json", schema)] }
}

/// It is there: 200.
pub(crate) struct Found<T>(pub(crate) T);

impl<T: Serialize + JsonSchema + Send> Answer for Found<T> {
    fn answer(self) -> Response {
        json_response(StatusCode::OK, &self.0)
    }

    fn document(generator: &mut SchemaGenerator) -> Vec<Documented> {
        vec![documented::<T>(generator, 200, "What was asked for")]
    }
}

/// A page of a list: 200, and where the next page is.
pub(crate) struct Listed<T> {
    /// The page.
    pub(crate) page: T,
    /// Path and query of the next page; none on the last.
    pub(crate) next: Option<String>,
}

impl<T: Serialize + JsonSchema + Send> Answer for Listed<T> {
    fn answer(self) -> Response {
        let mut response = json_response(StatusCode::OK, &self.page);
        let link = self.next.and_then(|next| format!("<{next}>; rel=\"next\"").parse().ok());
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    fn document(generator: &mut SchemaGenerator) -> Vec<Documented> {
        let description = "A page; the header `Link` has the next one, if there may be more";
        vec![documented::<T>(generator, 200, description)]
    }
}

/// It was made: 201, and where it is.
pub(crate) struct Created<T> {
    /// What was made.
    pub(crate) value: T,
    /// Where it is; none where it can't be looked at by itself.
    pub(crate) location: Option<String>,
}

impl<T: Serialize + JsonSchema + Send> Answer for Created<T> {
    fn answer(self) -> Response {
        located(json_response(StatusCode::CREATED, &self.value), self.location)
    }

    fn document(generator: &mut SchemaGenerator) -> Vec<Documented> {
        vec![documented::<T>(generator, 201, "What was made")]
    }
}

/// It will happen: 202, and where to watch.
pub(crate) struct Accepted<T> {
    /// What will happen.
    pub(crate) value: T,
    /// Where to look at it.
    pub(crate) location: String,
}

impl<T: Serialize + JsonSchema + Send> Answer for Accepted<T> {
    fn answer(self) -> Response {
        located(json_response(StatusCode::ACCEPTED, &self.value), Some(self.location))
    }

    fn document(generator: &mut SchemaGenerator) -> Vec<Documented> {
        let description =
            "Accepted, and on stable storage; the header `Location` has where to look";
        vec![documented::<T>(generator, 202, description)]
    }
}

fn located(mut response: Response, location: Option<String>) -> Response {
    if let Some(location) = location.and_then(|location| location.parse().ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// It is done, and there is nothing to say: 204.
pub(crate) struct Done;

impl Answer for Done {
    fn answer(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }

    fn document(_: &mut SchemaGenerator) -> Vec<Documented> {
        vec![Documented { status: 204, description: "Done", content: Vec::new() }]
    }
}

/// One of two answers, each with a status of its own.
pub(crate) enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

impl<A: Answer, B: Answer> Answer for Either<A, B> {
    fn answer(self) -> Response {
        match self {
            Self::First(answer) => answer.answer(),
            Self::Second(answer) => answer.answer(),
        }
    }

    fn document(generator: &mut SchemaGenerator) -> Vec<Documented> {
        let mut all = A::document(generator);
        all.extend(B::document(generator));
        all
    }
}

/// A JSON document that somebody else has written, as it was given: 200.
pub(crate) struct Document(pub(crate) Vec<u8>);

impl Answer for Document {
    fn answer(self) -> Response {
        let content_type = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, content_type)], self.0).into_response()
    }

    fn document(_: &mut SchemaGenerator) -> Vec<Documented> {
        let content = vec![("application/json", json!({"type": "object"}))];
        vec![Documented { status: 200, description: "The document, as it was given", content }]
    }
}

/// A media type that is no JSON.
pub(crate) trait MediaType: Send {
    /// As it is documented.
    const ESSENCE: &'static str;
    /// As it is sent.
    const CONTENT_TYPE: &'static str;
}

/// A text of a media type: 200.
pub(crate) struct Text<M> {
    text: Body,
    media_type: std::marker::PhantomData<M>,
}

impl<M> Text<M> {
    pub(crate) fn new(text: impl Into<Body>) -> Self {
        Self { text: text.into(), media_type: std::marker::PhantomData }
    }
}

impl<M: MediaType> Answer for Text<M> {
    fn answer(self) -> Response {
        let content_type = HeaderValue::from_static(M::CONTENT_TYPE);
        ([(header::CONTENT_TYPE, content_type)], self.text).into_response()
    }

    fn document(_: &mut SchemaGenerator) -> Vec<Documented> {
        let content = vec![(M::ESSENCE, json!({"type": "string"}))];
        vec![Documented { status: 200, description: "What was asked for", content }]
    }
}

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $essence:literal, $content_type:literal;)*) => {
        $($(#[$doc])*
        pub(crate) struct $name;

        impl MediaType for $name {
            const ESSENCE: &'static str = $essence;
            const CONTENT_TYPE: &'static str = $content_type;
        })*
    };
}

media_types! {
    /// A page.
    Html = "text/html", "text/html; charset=utf-8";
    /// What a page does.
    JavaScript = "text/javascript", "text/javascript; charset=utf-8";
    /// How a page looks.
    Css = "text/css", "text/css; charset=utf-8";
    /// What programs for calendars read (RFC 5545).
    Calendar = "text/calendar", "text/calendar; charset=utf-8";
    /// A stream of YAML documents.
    Yaml = "application/yaml", "application/yaml; charset=utf-8";
    /// Prometheus' text format.
    PrometheusText = "text/plain", "text/plain; version=0.0.4; charset=utf-8";
}
