//! Podman's stage: spec in, ranked spec out.

use super::world::world;

#[test]
fn a_spec_passes_through_ranked_and_an_unranked_one_as_it_is() {
    world("precreate", |world| {
        let bundle = world.bundle("one", |_| {});
        let ranked = world.hook("precreate", &bundle.bytes());
        assert!(ranked.status.success(), "{ranked:?}");
        let spec: serde_json::Value = serde_json::from_slice(&ranked.stdout).unwrap();
        assert_eq!(spec["linux"]["resources"]["memory"]["limit"], 512 << 20);
        assert_eq!(spec["process"]["oomScoreAdj"], 500);
        // The other phases come from the same folder as this one.
        assert!(spec["hooks"].is_null(), "{}", spec["hooks"]);
        let again = world.hook("precreate", &ranked.stdout);
        assert_eq!(again.stdout, ranked.stdout);

        let plain = world.bundle("two", |spec| spec["annotations"] = serde_json::json!({}));
        assert_eq!(
            world.hook("precreate", &plain.bytes()).stdout,
            plain.bytes()
        );
        let urgent = world.bundle("three", |spec| {
            spec["annotations"]["packrank.io/priority"] = "urgent".into()
        });
        let refused = world.hook("precreate", &urgent.bytes());
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("\"urgent\" is not accepted"));
        assert!(refused.stdout.is_empty());
    });
}
