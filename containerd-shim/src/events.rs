//! What happened to containers, for containerd.
//!
//! In: events, in the order they happened. Out: them, in that order, at
//! containerd's own ttrpc socket. While containerd is away they are kept, up to
//! a bound and not for ever: it asks for everything's state when it is back.

use std::time::{Duration, SystemTime};

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::ttrpc::context;
use tokio::sync::mpsc;

/// Events that are kept for a containerd that is away.
const MOST: usize = 1024;

/// Tries for one event, and the pause after each.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// How long containerd may take to accept one.
const PATIENCE: Duration = Duration::from_secs(5);

/// One event, ready to be sent.
#[derive(Debug, Clone)]
pub struct Event {
    /// containerd's name of its kind.
    pub topic: &'static str,
    /// Its message.
    pub message: Any,
    /// When it happened.
    pub at: SystemTime,
}

/// Where events go.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Event>);

impl Events {
    /// The two ends of the queue.
    #[must_use]
    pub fn queue() -> (Events, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(MOST);
        (Events(sender), receiver)
    }

    /// Tells of one.
    pub fn send<M: Message>(&self, topic: &'static str, message: &M) {
        let value = message.write_to_bytes();
        let event = Event {
            topic,
            message: Any {
                // containerd's names have no host in front.
                type_url: format!("containerd.events.{}", M::NAME),
                value: value.unwrap_or_default(),
                ..Any::default()
            },
            at: SystemTime::now(),
        };
        if self.0.try_send(event).is_err() {
            log::warn!("event {topic} is lost: too many are waiting for containerd");
        }
    }
}

/// A moment as protobuf has it.
#[must_use]
pub fn timestamp(at: SystemTime) -> MessageField<Timestamp> {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    MessageField::some(Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
        ..Timestamp::default()
    })
}

/// Sends events as they come until no more can come.
pub async fn forward(mut events: mpsc::Receiver<Event>, address: String, namespace: String) {
    let mut client = None;
    while let Some(event) = events.recv().await {
        let request = ForwardRequest {
            envelope: MessageField::some(Envelope {
                timestamp: timestamp(event.at),
                namespace: namespace.clone(),
                topic: event.topic.to_owned(),
                event: MessageField::some(event.message),
                ..Envelope::default()
            }),
            ..ForwardRequest::default()
        };
        if !deliver(&mut client, &address, &request).await {
            log::warn!("event {} is lost: containerd does not take it", event.topic);
        }
    }
}

async fn deliver(
    client: &mut Option<EventsClient>,
    address: &str,
    request: &ForwardRequest,
) -> bool {
    for _ in 0..TRIES {
        if client.is_none() {
            *client = Client::connect(address).await.ok().map(EventsClient::new);
        }
        if let Some(client) = client {
            let patience = context::with_duration(PATIENCE);
            if client.forward(patience, request).await.is_ok() {
                return true;
            }
        }
        *client = None;
        tokio::time::sleep(PAUSE).await;
    }
    false
}
