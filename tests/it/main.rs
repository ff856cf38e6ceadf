//! The one integration binary: a module per subject.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on must fail")]

mod admission;
mod announce;
mod architecture;
mod callers;
mod calls;
mod chart;
mod cli;
mod cluster;
mod contract;
mod dev;
mod documents;
mod encrypted;
mod examples;
mod fault_proxy;
mod first_hour;
mod git;
mod git_server;
mod hostile;
mod incremental;
mod kube;
mod language;
mod mistakes;
mod one_answer;
mod overlays;
mod page;
mod parts;
mod plan;
mod planted;
mod postgres;
mod readme;
mod reference;
mod register;
mod review_jobs;
mod schemas;
mod scripts;
mod serve;
mod store;
mod support;
mod template_engine;
mod upstream;
mod work;
