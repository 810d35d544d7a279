//! A container's live cgroup, made to say what its plan says, or one setting
//! of a person's.
//!
//! In: a record and limits. Out: the kernel's files, and systemd's own idea of
//! them where systemd owns the cgroup.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use packrank_core::host::Host;
use packrank_core::key::Key;
use packrank_core::record::Record;
use packrank_core::spec::{Device, Object, Resources, Spec};
use packrank_core::value::{IoPriority, Value};
use packrank_kernel::live::{self, Limit, Means, Place, Scale, Systemd, Units};

use super::{AttachError, chain};
use crate::planning::Planned;

/// Where the kernel's cgroups are.
const ROOT: &str = "/sys/fs/cgroup";

/// Applies a whole plan: for an engine that read the spec before we could
/// write into it. What could not be is a note.
///
/// # Errors
/// When the rewritten spec cannot be read back, or the container is gone.
pub fn apply(record: &Record, planned: &Planned) -> Result<Vec<String>, AttachError> {
    let document = Object::parse(&planned.document, "").map_err(refusal)?;
    let resources = document.object("linux").and_then(|l| l.object("resources"));
    let resources = Resources::read(&resources.map_err(refusal)?).map_err(refusal)?;
    let place = place(record)?;
    let mut limits = live::of_resources(&resources, scale(record, &place));
    if idle_here(planned) {
        // It may be idle already, and then the kernel refuses a weight.
        limits.retain(|limit| !matches!(limit, Limit::Shares(..)));
    }
    write(record, &place, &limits)
}

/// Marks it idle on cgroup v1, where no engine does. That this could not be
/// is a note: its shares hold.
pub fn idle(record: &Record, planned: &Planned) -> Vec<String> {
    if !idle_here(planned) {
        return Vec::new();
    }
    let marked = place(record).and_then(|place| write(record, &place, &[Limit::Idle(true)]));
    marked.unwrap_or_else(|error| vec![format!("cpu.idle: {}", chain(&error))])
}

/// Holds its processes to the plan's I/O class, whatever they ask for
/// themselves. Without the kernel's file for that, their own is all there is.
/// One that the spec has stays.
pub fn io_class(record: &Record, planned: &Planned, spec: &Spec<'_>) -> Vec<String> {
    let class = match planned.process.io_priority {
        Some(IoPriority::Idle) => "idle",
        Some(IoPriority::BestEffort(_)) => "restrict-to-be",
        Some(IoPriority::Realtime(_)) | None => return Vec::new(),
    };
    if spec.resources.unified.contains_key("io.prio.class") {
        return Vec::new();
    }
    let held = place(record).and_then(|place| {
        live::apply(&place, &[Limit::IoClass(class)], None).map_err(live_error(record))
    });
    let failed = held.err();
    let failed = failed.map(|error| format!("io.priority: {}", chain(&error)));
    failed.into_iter().collect()
}

/// What outlives its container must not refuse the weight of the next one
/// there. One that is gone is no error.
pub fn idle_no_more(record: &Record) {
    if let Ok(place) = place(record) {
        let _ = live::apply(&place, &[Limit::Idle(false)], None);
    }
}

fn idle_here(planned: &Planned) -> bool {
    planned.plan.idle_by_us(&planned.host.cgroups)
}

fn refusal(error: packrank_core::spec::DocumentError) -> AttachError {
    AttachError::Refused(error.into())
}

/// Changes one setting.
///
/// # Errors
/// When it does not live in the cgroup, or the kernel or systemd refuses.
pub fn change(
    record: &Record,
    key: Key,
    value: &Value,
    host: &Host,
) -> Result<Vec<String>, AttachError> {
    let device = |text: &String| {
        let (major, minor) = text.split_once(':')?;
        Some(Device {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    };
    let devices: Vec<Device> = record.devices.iter().filter_map(device).collect();
    let place = place(record)?;
    let value = match value {
        Value::Affinity(affinity) => &Value::Cpus(affinity.resolve(host.cores())),
        other => other,
    };
    let means = Means {
        devices: &devices,
        guarantee_file: record.guarantee_file,
        page_sizes: host.page_sizes(),
        scale: scale(record, &place),
    };
    let limits = live::of_key(key, value, means).map_err(live_error(record))?;
    write(record, &place, &limits)
}

fn place(record: &Record) -> Result<Place, AttachError> {
    Place::open(Path::new(ROOT), &record.cgroups).map_err(live_error(record))
}

/// The scale of the container's engine: the one by which its present weight
/// came about, else the one of the engine's version. Only cgroup v2 has two.
fn scale(record: &Record, place: &Place) -> Scale {
    let Some(weight) = place.weight() else {
        return Scale::default();
    };
    let shares = record.amount(Key::CpuShares).and_then(|a| a.number());
    let seen = shares.and_then(|shares| Scale::seen(shares, weight));
    seen.unwrap_or_else(|| {
        let answer = version(&record.engine).unwrap_or_default();
        Scale::of_version(&String::from_utf8_lossy(&answer))
    })
}

/// What an engine says of its version. Its status is not asked for: in a
/// containerd shim another may have taken it.
fn version(engine: &Path) -> std::io::Result<Vec<u8>> {
    let mut command = Command::new(engine);
    command.arg("--version").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut answer = Vec::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut answer)?;
    }
    let _ = child.wait();
    Ok(answer)
}

fn write(record: &Record, place: &Place, limits: &[Limit]) -> Result<Vec<String>, AttachError> {
    let mut notes = Vec::new();
    let systemd = place.unit().map(|_| Systemd::connect());
    let systemd = systemd.and_then(|connected| {
        let lost = |e| format!("systemd is not told, and may undo it: {}", chain(&e));
        connected.map_err(|e| notes.push(lost(e))).ok()
    });
    let units = systemd.as_ref().map(|s| s as &dyn Units);
    let applied = live::apply(place, limits, units).map_err(live_error(record))?;
    let missing = applied.missing.iter();
    notes.extend(missing.map(|m| format!("the kernel has no {}: left out", m.file)));
    let untold = applied.untold.iter();
    notes.extend(untold.map(|p| format!("systemd does not take {p}: a daemon-reload undoes it")));
    Ok(notes)
}

fn live_error(record: &Record) -> impl Fn(live::Error) -> AttachError + use<> {
    let id = record.id.clone();
    move |source| AttachError::Live {
        id: id.clone(),
        source,
    }
}
