//! What is seen of a real node: metrics, rules, dashboard, live view, report.

mod dashboard;
mod follow;
mod latency;
mod metrics;
mod prometheus;
mod report;
mod rules;
mod top;
mod wire;
mod workload;
