//! In: a unit and properties. Out: told to systemd over the system's D-Bus.

use std::time::Duration;

use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::zvariant::Value;

use super::error::Error;
use super::unit::{Property, Units, Worth};

/// The system's systemd.
#[derive(Debug)]
pub struct Systemd {
    connection: Connection,
}

/// An engine waits meanwhile; systemd answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

impl Systemd {
    /// Connects to the system's bus.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect() -> Result<Systemd, Error> {
        let connection = Builder::system().and_then(|b| b.method_timeout(PATIENCE).build());
        match connection {
            Ok(connection) => Ok(Systemd { connection }),
            Err(error) => Err(failed("the container", &error)),
        }
    }
}

/// A service, and how it is made where no unit file of its name is installed.
#[derive(Debug, Clone)]
pub struct Service<'a> {
    /// The unit's name.
    pub unit: &'a str,
    /// What it is, for `systemctl status`.
    pub description: &'a str,
    /// Its program, then its arguments.
    pub command: Vec<String>,
    /// Bytes the kernel leaves it.
    pub memory_min: u64,
    /// Its oom_score_adj.
    pub oom_score: i32,
    /// Open files it may have.
    pub files: u64,
}

impl Systemd {
    /// Starts a service: the installed unit of that name, else one made for
    /// it, straight under the root, where no slice above it caps what it is
    /// guaranteed. One that runs is left alone.
    ///
    /// # Errors
    /// When systemd refuses, as it does for a masked unit.
    pub fn start(&self, service: &Service<'_>) -> Result<(), Error> {
        let unit = service.unit;
        let (method, body) = ("StartUnit", (unit, "replace"));
        let installed =
            self.connection
                .call_method(Some(SYSTEMD), OBJECT, Some(MANAGER), method, &body);
        match installed {
            Ok(_) => return Ok(()),
            Err(zbus::Error::MethodError(name, _, _)) if name.as_str() == NO_SUCH_UNIT => {}
            Err(error) => return Err(start_failed(unit, &error)),
        }
        let program = service.command.first().map_or("", String::as_str);
        let line = vec![(program, service.command.clone(), false)];
        let properties: Vec<(&str, Value<'_>)> = vec![
            ("Description", Value::from(service.description)),
            ("ExecStart", Value::from(line)),
            ("Slice", Value::from("-.slice")),
            ("MemoryMin", Value::from(service.memory_min)),
            ("OOMScoreAdjust", Value::from(service.oom_score)),
            ("LimitNOFILE", Value::from(service.files)),
            ("LimitMEMLOCK", Value::from(u64::MAX)),
            ("Restart", Value::from("on-failure")),
            ("CollectMode", Value::from("inactive-or-failed")),
        ];
        let others: Vec<(&str, Vec<(&str, Value<'_>)>)> = Vec::new();
        let body = (unit, "replace", properties, others);
        let method = "StartTransientUnit";
        let answer =
            self.connection
                .call_method(Some(SYSTEMD), OBJECT, Some(MANAGER), method, &body);
        match answer {
            // Two that start one at once: one of them is enough.
            Err(zbus::Error::MethodError(name, _, _)) if name.as_str() == UNIT_EXISTS => Ok(()),
            Err(error) => Err(start_failed(unit, &error)),
            Ok(_) => Ok(()),
        }
    }
}

const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

fn start_failed(unit: &str, error: &zbus::Error) -> Error {
    Error::Start {
        unit: unit.to_owned(),
        problem: error.to_string(),
    }
}

impl Units for Systemd {
    fn set(&self, unit: &str, properties: &[Property]) -> Result<(), Error> {
        let list: Vec<(&str, Value<'_>)> = properties
            .iter()
            .map(|property| (property.name, value(&property.worth)))
            .collect();
        // Not kept over a reboot: the container is not either.
        let runtime = true;
        let body = (unit, runtime, list);
        let method = "SetUnitProperties";
        let answer =
            self.connection
                .call_method(Some(SYSTEMD), OBJECT, Some(MANAGER), method, &body);
        answer.map(|_| ()).map_err(|error| failed(unit, &error))
    }
}

fn value(worth: &Worth) -> Value<'_> {
    match worth {
        Worth::Number(n) => Value::from(*n),
        Worth::Cpus(mask) => Value::from(mask.as_slice()),
        Worth::Device(path, rate) => Value::from(vec![(path.as_str(), *rate)]),
    }
}

fn failed(unit: &str, error: &zbus::Error) -> Error {
    Error::Systemd {
        unit: unit.to_owned(),
        problem: error.to_string(),
    }
}
