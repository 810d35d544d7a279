//! What shapes and guards a container's network.
//!
//! In: the kernel's features. Out: what of `network.*` can be had.

use super::features::{Features, Support};
use super::{Finding, Mark, Patient, finding};

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    let features = &patient.features;
    let htb = features.support("CONFIG_NET_SCH_HTB", "sch_htb");
    let ifb = features.support("CONFIG_IFB", "ifb");
    let codel = features.support("CONFIG_NET_SCH_FQ_CODEL", "sch_fq_codel");
    let tables = features.support("CONFIG_NF_TABLES", "nf_tables");
    let conntrack = features.support("CONFIG_NF_CONNTRACK", "nf_conntrack");
    let both = |a, b| if a == Support::Present { b } else { a };
    let limit = both(tables, features.support("CONFIG_NFT_LIMIT", "nft_limit"));
    let connlimit = features.support("CONFIG_NFT_CONNLIMIT", "nft_connlimit");
    let connlimit = both(both(tables, conntrack), connlimit);
    vec![
        seen(
            htb,
            "htb",
            "shapes to a rate",
            "no network.egress, .ingress, .burst",
        ),
        seen(
            ifb,
            "ifb",
            "queues what containers send",
            "no network.egress",
        ),
        redirect(features),
        fair(codel),
        seen(
            limit,
            "nft limit",
            "counts packets and new connections",
            "no network.packets, .new-connections",
        ),
        seen(
            connlimit,
            "nft connlimit",
            "counts connections at once",
            "no network.connections",
        ),
        seen(tables, "nf_tables", "marks packets", "no network.dscp"),
    ]
}

fn seen(support: Support, name: &'static str, there: &str, cost: &str) -> Finding {
    match support {
        Support::Present => finding(Mark::Ok, name, there),
        Support::NotInstalled => finding(Mark::Lack, name, format!("not installed: {cost}")),
        Support::Absent => finding(Mark::Lack, name, cost),
        Support::Unknown => finding(Mark::Note, name, "cannot be seen: no kernel configuration"),
    }
}

/// How packets that a container sends get to their queue.
fn redirect(features: &Features) -> Finding {
    let forward = features.support("CONFIG_NFT_FWD_NETDEV", "nft_fwd_netdev");
    let matches = [
        features.support("CONFIG_NET_CLS_MATCHALL", "cls_matchall"),
        features.support("CONFIG_NET_CLS_U32", "cls_u32"),
    ];
    let filter = [
        features.support("CONFIG_NET_SCH_INGRESS", "sch_ingress"),
        features.support("CONFIG_NET_ACT_MIRRED", "act_mirred"),
    ];
    let filter =
        filter.iter().all(|s| *s == Support::Present) && matches.contains(&Support::Present);
    let name = "redirection";
    match forward {
        Support::Present => finding(Mark::Ok, name, "by nf_tables, to the ifb"),
        _ if filter => finding(
            Mark::Note,
            name,
            "by a tc filter: no limit or mark on packets sent",
        ),
        other => seen(other, name, "", "no network.egress"),
    }
}

fn fair(codel: Support) -> Finding {
    match codel {
        Support::Absent | Support::NotInstalled => finding(
            Mark::Note,
            "fq_codel",
            "not there: a plain queue, more delay at the rate",
        ),
        other => seen(other, "fq_codel", "keeps delay low at the rate", ""),
    }
}
