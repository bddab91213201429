//! The API over HTTP.

mod access;
mod answer;
mod discovery;
mod listing;
mod log;
mod negotiation;
mod openapi;
mod path;
mod query;
mod reviews;
mod serve;
mod special;
mod table;
mod verbs;
mod watch;
mod yaml;

pub(crate) use answer::{Body, full};
pub(crate) use listing::Pages;
pub(crate) use serve::{Api, PATH_TOKEN, serve};
