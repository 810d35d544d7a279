//! Written by a test from `default-policy.toml`; see the module above.

use super::{Classes, GrantRow, GuaranteeFile, Ruled};
use crate::Priority;
use crate::cpus::Affinity;
use crate::value::{Dscp, IoPriority, Security, Value};

const fn of(value: Value) -> Ruled {
    Ruled { value, from: None }
}

const fn number(n: u64) -> Ruled {
    of(Value::Number(n))
}

const fn files(soft: u64, hard: u64) -> Ruled {
    of(Value::Files { soft, hard })
}

#[rustfmt::skip]
pub(super) static CLASSES: Classes = [
    // scavenger
    [
        number(128), // cpu.shares
        number(25000), // cpu.quota
        of(Value::Switch(true)), // cpu.idle
        of(Value::Affinity(Affinity::All)), // cpu.affinity
        number(268435456), // memory.limit
        of(Value::Share(90000)), // memory.high
        number(0), // memory.guarantee
        number(0), // memory.swap
        of(Value::Score(1000)), // oom.score
        of(Value::Switch(false)), // hugepages
        number(128), // pids
        files(512, 1024), // nofile
        number(1000000), // network.egress
        number(1000000), // network.ingress
        number(2000000), // network.burst
        number(83), // network.packets
        number(100), // network.connections
        number(10), // network.new-connections
        of(Value::Dscp(Dscp(1))), // network.dscp
        number(100), // io.read-iops
        number(100), // io.write-iops
        number(5242880), // io.read-bps
        number(5242880), // io.write-bps
        of(Value::IoPriority(IoPriority::Idle)), // io.priority
        number(10), // io.weight
        number(1073741824), // disk.space
        number(1000000), // wasm.fuel
        of(Value::Share(50000)), // wasm.memory
        of(Value::Security(Security::None)), // security
    ],
    // low
    [
        number(512), // cpu.shares
        number(50000), // cpu.quota
        of(Value::Switch(false)), // cpu.idle
        of(Value::Affinity(Affinity::All)), // cpu.affinity
        number(536870912), // memory.limit
        of(Value::Share(90000)), // memory.high
        number(0), // memory.guarantee
        number(0), // memory.swap
        of(Value::Score(500)), // oom.score
        of(Value::Switch(false)), // hugepages
        number(512), // pids
        files(1024, 2048), // nofile
        number(5000000), // network.egress
        number(5000000), // network.ingress
        number(10000000), // network.burst
        number(416), // network.packets
        number(500), // network.connections
        number(50), // network.new-connections
        of(Value::Dscp(Dscp(8))), // network.dscp
        number(500), // io.read-iops
        number(500), // io.write-iops
        number(20971520), // io.read-bps
        number(20971520), // io.write-bps
        of(Value::IoPriority(IoPriority::BestEffort(7))), // io.priority
        number(50), // io.weight
        number(5368709120), // disk.space
        number(2500000), // wasm.fuel
        of(Value::Share(50000)), // wasm.memory
        of(Value::Security(Security::None)), // security
    ],
    // normal
    [
        number(1024), // cpu.shares
        number(100000), // cpu.quota
        of(Value::Switch(false)), // cpu.idle
        of(Value::Affinity(Affinity::All)), // cpu.affinity
        number(1073741824), // memory.limit
        of(Value::Share(90000)), // memory.high
        number(268435456), // memory.guarantee
        number(0), // memory.swap
        of(Value::Score(0)), // oom.score
        of(Value::Switch(false)), // hugepages
        number(1024), // pids
        files(1024, 4096), // nofile
        number(10000000), // network.egress
        number(10000000), // network.ingress
        number(20000000), // network.burst
        number(833), // network.packets
        number(1000), // network.connections
        number(100), // network.new-connections
        of(Value::Dscp(Dscp(0))), // network.dscp
        number(1000), // io.read-iops
        number(1000), // io.write-iops
        number(52428800), // io.read-bps
        number(52428800), // io.write-bps
        of(Value::IoPriority(IoPriority::BestEffort(4))), // io.priority
        number(100), // io.weight
        number(10737418240), // disk.space
        number(5000000), // wasm.fuel
        of(Value::Share(50000)), // wasm.memory
        of(Value::Security(Security::None)), // security
    ],
    // high
    [
        number(1536), // cpu.shares
        number(150000), // cpu.quota
        of(Value::Switch(false)), // cpu.idle
        of(Value::Affinity(Affinity::All)), // cpu.affinity
        number(2147483648), // memory.limit
        of(Value::Share(90000)), // memory.high
        number(1073741824), // memory.guarantee
        number(0), // memory.swap
        of(Value::Score(-500)), // oom.score
        of(Value::Switch(false)), // hugepages
        number(2048), // pids
        files(4096, 8192), // nofile
        number(50000000), // network.egress
        number(50000000), // network.ingress
        number(100000000), // network.burst
        number(4166), // network.packets
        number(5000), // network.connections
        number(500), // network.new-connections
        of(Value::Dscp(Dscp(46))), // network.dscp
        number(5000), // io.read-iops
        number(5000), // io.write-iops
        number(209715200), // io.read-bps
        number(209715200), // io.write-bps
        of(Value::IoPriority(IoPriority::BestEffort(2))), // io.priority
        number(500), // io.weight
        number(53687091200), // disk.space
        number(7500000), // wasm.fuel
        of(Value::Share(50000)), // wasm.memory
        of(Value::Security(Security::None)), // security
    ],
    // critical
    [
        number(2048), // cpu.shares
        number(200000), // cpu.quota
        of(Value::Switch(false)), // cpu.idle
        of(Value::Affinity(Affinity::All)), // cpu.affinity
        number(4294967296), // memory.limit
        of(Value::Share(90000)), // memory.high
        number(2147483648), // memory.guarantee
        number(0), // memory.swap
        of(Value::Score(-999)), // oom.score
        of(Value::Switch(true)), // hugepages
        number(4096), // pids
        files(4096, 8192), // nofile
        number(100000000), // network.egress
        number(100000000), // network.ingress
        number(200000000), // network.burst
        number(8333), // network.packets
        number(10000), // network.connections
        number(1000), // network.new-connections
        of(Value::Dscp(Dscp(48))), // network.dscp
        number(10000), // io.read-iops
        number(10000), // io.write-iops
        number(524288000), // io.read-bps
        number(524288000), // io.write-bps
        of(Value::IoPriority(IoPriority::BestEffort(0))), // io.priority
        number(1000), // io.weight
        number(107374182400), // disk.space
        number(10000000), // wasm.fuel
        of(Value::Share(50000)), // wasm.memory
        of(Value::Security(Security::None)), // security
    ],
];

#[rustfmt::skip]
pub(super) const GUARANTEE_FILES: [GuaranteeFile; 5] = [
    GuaranteeFile::Low, // scavenger
    GuaranteeFile::Low, // low
    GuaranteeFile::Low, // normal
    GuaranteeFile::Low, // high
    GuaranteeFile::Min, // critical
];

#[rustfmt::skip]
pub(super) const GRANTS: [GrantRow; 3] = [
    (213, Priority::Critical, None, true),
    (217, Priority::Critical, Some("kube-system"), false),
    (221, Priority::High, Some("*"), false),
];
