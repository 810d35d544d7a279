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
