//! A Kubernetes API server in memory: the demo's cluster, the tests' stand-in.
//!
//! [`Practice::start`] gives a cluster with one node on loopback. Clients
//! reach it with the kubeconfig it gives; deployments roll out, pods become
//! ready, crash or stay pending as [`Behaviours`] say, the API fails as
//! [`Faults`] say, and a gateway answers for the pods behind ingresses (with the
//! canary annotations of ingress-nginx) and HTTPRoutes of the Gateway API, whose
//! definitions are installed.
//!
//! Anybody can make a pod misbehave by its image's name: one that contains
//! `practice/crash-loop`, `practice/never-ready`,
//! `practice/image-pull-error`, `practice/unschedulable` or
//! `practice/slow-start`.
//!
//! What it does not do: answers in protobuf (bodies are read), exec, attach,
//! port-forward, webhooks, autoscaling, running cron jobs,
//! the validation of patterns and expressions in custom resources' schemas.
//!
//! Reading a field with `value["field"]` never panics on a
//! [`serde_json::Value`]; the code prefers JSON pointers all the same.

mod admission;
mod api;
mod apply;
mod auth;
mod behaviour;
mod bootstrap;
mod cluster;
mod controllers;
mod defaults;
mod faults;
mod gateway;
mod gateway_api;
mod json;
mod listeners;
mod logs;
mod objects;
mod ops;
mod options;
mod patch;
mod pods;
mod practice;
mod protobuf;
mod quantity;
mod random;
mod requests;
mod resources;
mod schema;
mod selectors;
mod status;
mod storage;
mod time;
mod validation;

pub use behaviour::{Behaviour, Behaviours, PodMatch};
pub use faults::{Fault, Faults, RequestMatch};
pub use objects::Objects;
pub use options::PracticeOptions;
pub use practice::{Practice, PracticeError};
pub use requests::SeenRequest;
