//! In: bits per second and bits of burst. Out: what the kernel's token bucket
//! wants, and back.
//!
//! A rate means IP packets, as the classes' packet figures do (bandwidth /
//! 1500 B). The kernel counts Ethernet frames, so a full-sized packet costs it
//! 14 bytes more; the rate handed to it is larger by that share.

use super::error::Error;

/// Bytes of an Ethernet header.
const ETHERNET: u64 = 14;
/// The kernel's token bucket counts in ticks of 64 ns (`PSCHED_SHIFT` = 6).
const TICK_NANOSECONDS: u64 = 64;
const SECOND_NANOSECONDS: u64 = 1_000_000_000;
/// A bucket must hold the time between two timer interrupts that a busy
/// kernel serves late; below this a 100 Mbit/s class falls short of its rate.
const SHORTEST_BURST_NANOSECONDS: u64 = 2_000_000;
/// The largest packet an unlimited sender may hand down in one piece.
const LARGEST_SEGMENT: u64 = 65_536;
/// How long a queue without flow isolation may hold a packet at most, where
/// the rate allows to send a whole segment in that time.
const QUEUE_NANOSECONDS: u64 = 50_000_000;

/// How long what is not split may keep others waiting.
const PIECE_NANOSECONDS: u64 = 5_000_000;

/// A limit on one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits of IP packets per second, at least 8.
    pub bits_per_second: u64,
    /// Bits that may pass at once after a pause, on top of the rate.
    pub burst_bits: u64,
}

/// A rate in the kernel's terms, for interfaces of one MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Bytes of frames per second.
    pub bytes_per_second: u64,
    /// The bucket's depth: the time it takes to fill, in ticks.
    pub ticks: u32,
}

impl Bucket {
    pub fn new(rate: Rate, mtu: u32, setting: &'static str) -> Result<Self, Error> {
        if rate.bits_per_second < 8 {
            return Err(Error::Range {
                setting,
                value: rate.bits_per_second,
            });
        }
        let bytes_per_second = framed(rate.bits_per_second, mtu);
        let burst = framed(rate.burst_bits, mtu).max(2 * (u64::from(mtu) + ETHERNET));
        let nanoseconds =
            scaled(burst, SECOND_NANOSECONDS, bytes_per_second).max(SHORTEST_BURST_NANOSECONDS);
        Ok(Self {
            bytes_per_second,
            ticks: u32::try_from(nanoseconds.div_ceil(TICK_NANOSECONDS)).unwrap_or(u32::MAX),
        })
    }

    /// The rate this bucket was made from; exact for whole kilobits.
    pub fn rate(self, mtu: u32) -> Rate {
        // Both were rounded up to a byte, the burst to a tick as well.
        let tick = scaled(
            self.bytes_per_second,
            8 * TICK_NANOSECONDS,
            SECOND_NANOSECONDS,
        );
        Rate {
            bits_per_second: unframed(self.bytes_per_second, mtu, 16),
            burst_bits: unframed(self.bytes(), mtu, 16 + tick),
        }
    }

    /// The bucket's depth in bytes.
    pub fn bytes(self) -> u64 {
        let nanoseconds = u64::from(self.ticks) * TICK_NANOSECONDS;
        scaled(self.bytes_per_second, nanoseconds, SECOND_NANOSECONDS)
    }

    /// The length in bytes of a plain queue behind the bucket: short enough
    /// for latency, long enough for one unsplit segment beside another.
    pub fn queue(self) -> u32 {
        let bytes = scaled(self.bytes_per_second, QUEUE_NANOSECONDS, SECOND_NANOSECONDS);
        u32::try_from(bytes.max(LARGEST_SEGMENT + LARGEST_SEGMENT / 4)).unwrap_or(u32::MAX)
    }

    /// The longest piece in bytes that is not split into packets: what passes
    /// in 5 ms, and always one frame with whatever tags it carries, since what
    /// is longer and cannot be split would be dropped.
    pub fn piece(self, mtu: u32) -> u32 {
        let bytes = scaled(self.bytes_per_second, PIECE_NANOSECONDS, SECOND_NANOSECONDS);
        let below_two = 2 * (u64::from(mtu) + ETHERNET) - 1;
        u32::try_from(bytes.max(below_two)).unwrap_or(u32::MAX)
    }

    /// How long a frame of this many bytes takes at the rate, in microseconds.
    pub fn microseconds(self, bytes: u32) -> u32 {
        let time = scaled(u64::from(bytes), 1_000_000, self.bytes_per_second);
        u32::try_from(time).unwrap_or(u32::MAX)
    }
}

/// Bits of full-sized IP packets as bytes of frames, rounded up.
fn framed(bits: u64, mtu: u32) -> u64 {
    let mtu = u64::from(mtu.max(68));
    let frames = u128::from(bits) * u128::from(mtu + ETHERNET);
    u64::try_from(frames.div_ceil(u128::from(mtu) * 8)).unwrap_or(u64::MAX)
}

/// Bytes of frames as bits of full-sized IP packets: the whole kilobit where
/// one lies within what rounding may have added.
fn unframed(bytes: u64, mtu: u32, rounding: u64) -> u64 {
    let mtu = u64::from(mtu.max(68));
    let bits = u128::from(bytes) * 8 * u128::from(mtu) / u128::from(mtu + ETHERNET);
    let bits = u64::try_from(bits).unwrap_or(u64::MAX);
    let whole = bits.saturating_add(500) / 1000 * 1000;
    if bits.abs_diff(whole) <= rounding {
        whole
    } else {
        bits
    }
}

/// `value * by / per`, rounded down, without overflow on the way.
fn scaled(value: u64, by: u64, per: u64) -> u64 {
    let product = u128::from(value) * u128::from(by) / u128::from(per.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bits_per_second: u64, burst_bits: u64) -> Rate {
        Rate {
            bits_per_second,
            burst_bits,
        }
    }

    #[test]
    fn the_classes_rates_come_back_as_they_were_given() {
        for megabits in [1, 5, 10, 50, 100, 1_000, 40_000] {
            let given = rate(megabits * 1_000_000, 2 * megabits * 1_000_000);
            for mtu in [1280, 1450, 1500, 9000] {
                let bucket = Bucket::new(given, mtu, "network.egress").unwrap();
                assert_eq!(bucket.rate(mtu), given, "{megabits} Mbit/s, MTU {mtu}");
            }
        }
    }

    #[test]
    fn a_full_packet_stream_carries_the_rate() {
        let bucket = Bucket::new(rate(12_000_000, 0), 1500, "network.egress").unwrap();
        assert_eq!(bucket.bytes_per_second, 1000 * 1514);
    }

    #[test]
    fn a_piece_takes_five_milliseconds_and_holds_a_frame() {
        let piece = |megabits: u64, mtu| {
            let bucket = Bucket::new(rate(megabits * 1_000_000, 0), mtu, "network.egress");
            bucket.unwrap().piece(mtu)
        };
        assert_eq!(piece(1, 1500), 2 * 1514 - 1);
        assert_eq!(piece(100, 1500), 63_083);
        assert_eq!(piece(1, 9000), 2 * 9014 - 1);
        assert_eq!(piece(40_000_000, 1500), u32::MAX);
    }

    #[test]
    fn a_missing_or_huge_burst_stays_in_range() {
        let least = Bucket::new(rate(100_000_000, 0), 1500, "network.egress").unwrap();
        assert_eq!(least.ticks, 31_250);
        let most = Bucket::new(rate(8_000, u64::MAX), 1500, "network.egress").unwrap();
        assert_eq!(most.ticks, u32::MAX);
        assert!(Bucket::new(rate(7, 0), 1500, "network.egress").is_err());
    }
}
