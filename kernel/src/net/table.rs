//! In: a firewall table as it should be. Out: the kernel's table made so, in
//! one transaction: before it nothing has changed, after it everything has.
//!
//! Every rule carries its settings as a comment. Comparing comments is how a
//! second `apply` finds that nothing is to be done, how a single changed
//! value replaces a single rule (so that the connections counted by its
//! neighbour stay counted), and how `read` knows the limits in force.

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};

use super::error::Error;
use super::expression::{self, Expression};
use super::nft::{self, Family, Found};
use super::owner::{self, Owner};
use super::socket::{Refusal, Request, Socket};

/// A table with everything in it.
pub(crate) struct Table {
    pub family: Family,
    pub name: String,
    pub counters: Vec<&'static str>,
    pub chains: Vec<Chain>,
}

/// A chain; with a hook, packets enter it there.
pub(crate) struct Chain {
    pub name: String,
    pub hook: Option<Hook>,
    pub part: Option<Part>,
    pub rules: Vec<Rule>,
}

/// A place in the kernel's packet path (`NF_*`), by number.
pub(crate) struct Hook {
    pub number: u32,
    pub priority: i32,
    /// netdev tables hook into one interface each.
    pub device: Option<String>,
}

/// A rule and the comment that says what it is for.
pub(crate) struct Rule {
    pub label: String,
    pub expressions: Vec<Expression>,
    pub part: Option<Part>,
}

/// What a kernel may lack without taking the rest with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Handing packets to an ifb.
    Forward,
    /// The hook on what an interface sends (Linux 5.16).
    Departures,
    Packets,
    Dscp,
    Connections,
    NewConnections,
    /// Answering what is refused.
    Refusal,
}

/// What `apply` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// Rules were replaced in place.
    Rules,
    Created,
    /// The table was there, of another shape; it was exchanged for a new one.
    Recreated,
}

/// Why `apply` could not.
pub(crate) struct Failure {
    /// The part that the kernel turned down, where it was just a part.
    pub part: Option<Part>,
    pub error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { part: None, error }
    }
}

/// Makes the kernel's table equal to `table`.
pub(crate) fn apply(socket: &Socket, owner: &Owner, table: Table) -> Result<Change, Failure> {
    let (family, name) = (table.family, table.name.clone());
    let there = match nft::table(socket, family, &name)? {
        Some(mark) => {
            check_owner(&name, mark.as_deref(), owner)?;
            Some(nft::rules(socket, family, &name)?)
        }
        None => None,
    };
    let mut batch = Batch::default();
    let change = match there {
        None => {
            batch.create(owner, table);
            Change::Created
        }
        Some(found) => match difference(&table, &found) {
            Difference::None => return Ok(Change::None),
            Difference::Rules => {
                batch.replace(table, &found);
                Change::Rules
            }
            Difference::Shape => {
                batch.push(None, nft::delete_table(family, &name));
                batch.create(owner, table);
                Change::Recreated
            }
        },
    };
    nft::commit(socket, batch.requests).map_err(|refusal: Refusal| Failure {
        part: batch.parts.get(refusal.index).copied().flatten(),
        error: refusal.during("set up nf_tables table", name),
    })?;
    Ok(change)
}

/// Refuses a table that has our name and is another's.
pub(crate) fn check_owner(name: &str, mark: Option<&str>, owner: &Owner) -> Result<(), Error> {
    let found = mark.and_then(owner::id_in);
    if found == Some(owner.id.as_str()) {
        return Ok(());
    }
    Err(Error::Taken {
        object: format!("nf_tables table {name}"),
        owner: found.unwrap_or("someone unknown").to_owned(),
        id: owner.id.clone(),
    })
}

enum Difference {
    None,
    /// The same rules in the same chains, with other values.
    Rules,
    Shape,
}

fn difference(table: &Table, found: &[Found]) -> Difference {
    let wanted: Vec<_> = table
        .chains
        .iter()
        .flat_map(|chain| chain.rules.iter().map(|rule| (&chain.name, &rule.label)))
        .collect();
    let same = |values: bool| {
        wanted.len() == found.len()
            && table.chains.iter().all(|chain| {
                let labels = chain.rules.iter().map(|rule| rule.label.as_str());
                let present = found
                    .iter()
                    .filter(|found| found.chain == chain.name)
                    .map(|found| found.label.as_str());
                if values {
                    labels.eq(present)
                } else {
                    labels.map(key).eq(present.map(key))
                }
            })
    };
    if same(true) {
        Difference::None
    } else if same(false) {
        Difference::Rules
    } else {
        Difference::Shape
    }
}

/// A label is `key` or `key=value`.
fn key(label: &str) -> &str {
    label.split_once('=').map_or(label, |(key, _)| key)
}

/// Requests of one transaction, and the part each of them serves.
#[derive(Default)]
struct Batch {
    requests: Vec<Request>,
    parts: Vec<Option<Part>>,
}

impl Batch {
    fn push(&mut self, part: Option<Part>, request: Request) {
        self.requests.push(request);
        self.parts.push(part);
    }

    fn create(&mut self, owner: &Owner, table: Table) {
        let (family, name) = (table.family, table.name.as_str());
        self.push(None, nft::new_table(family, name, &owner.mark()));
        for counter in &table.counters {
            self.push(None, nft::new_counter(family, name, counter));
        }
        // Chains before rules: rules jump to chains.
        for chain in &table.chains {
            self.push(chain.part, nft::new_chain(family, name, chain));
        }
        for chain in table.chains {
            for rule in chain.rules {
                let expressions = expression::list(rule.expressions);
                let flags = NLM_F_CREATE | NLM_F_APPEND;
                let request = nft::rule(
                    family,
                    name,
                    &chain.name,
                    &rule.label,
                    None,
                    expressions,
                    flags,
                );
                self.push(rule.part.or(chain.part), request);
            }
        }
    }

    fn replace(&mut self, table: Table, found: &[Found]) {
        for chain in table.chains {
            let present = found.iter().filter(|found| found.chain == chain.name);
            for (rule, present) in chain.rules.into_iter().zip(present) {
                if rule.label != present.label {
                    let request = nft::rule(
                        table.family,
                        &table.name,
                        &chain.name,
                        &rule.label,
                        Some(present.handle),
                        expression::list(rule.expressions),
                        NLM_F_REPLACE,
                    );
                    self.push(rule.part.or(chain.part), request);
                }
            }
        }
    }
}
