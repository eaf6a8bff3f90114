//! What a plan prints.

use crate::{Outcome, desired, host, subjects};
use hostnet::fake::Fake;
use hostnet::{plan, teardown};

#[tokio::test]
async fn a_plan_reads_as_the_commands_it_stands_for() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    let plan = plan(&desired(1), &host.observe().await?)?;
    let text = plan.to_string();
    let (table, rest) = text.split_once("EOF\nsysctl").expect("the table comes first");
    assert!(table.starts_with("nft -f - <<'EOF'\ntable inet hostnet-demo {\n"), "{table}");
    assert_eq!(
        format!("sysctl{rest}"),
        "\
sysctl -w net.ipv4.ip_forward=1
ip link add br0 address 02:EB:AD:A5:16:86 mtu 1500 group 1769539288 type bridge
ip link property add dev br0 altname 'hostnet-2492:demo:net:default:bridge:0' altname 'hostnet-2492:demo:net:default:bridge'
sysctl -w net.ipv6.conf.br0.addr_gen_mode=1
sysctl -w net.ipv4.conf.br0.promote_secondaries=1
sysctl -w net.ipv4.conf.br0.route_localnet=1
ip link set 'hostnet-2492:demo:net:default:bridge:0' up
nft 'add element inet hostnet-demo networks4 { 172.16.0.0/16 comment \"hostnet-41b0:demo:net:default:rules:0\" }'
nft 'add element inet hostnet-demo masquerade4 { 172.16.0.0/16 comment \"hostnet-41b0:demo:net:default:rules:0\" }'
ip address add 172.16.0.1/16 dev 'hostnet-2492:demo:net:default:bridge:0'
ip tuntap add dev tap_a1b20000 mode tap
ip link property add dev tap_a1b20000 altname 'hostnet-a6ad:demo:vm:a1b20000:tap:0' altname 'hostnet-a6ad:demo:vm:a1b20000:tap'
sysctl -w net.ipv6.conf.tap_a1b20000.addr_gen_mode=1
ip link set tap_a1b20000 address FE:FC:A1:B2:00:02 mtu 1500 group 1769539289
nft 'add element inet hostnet-demo forward4 { tcp . 22001 comment \"hostnet-a0ef:demo:vm:a1b20000:rules:0\" : 172.16.0.2 . 22 }'
nft 'add element bridge hostnet-demo senders { \"tap_a1b20000\" . AA:FC:A1:B2:00:02 comment \"hostnet-a0ef:demo:vm:a1b20000:rules:0\" }'
nft 'add element bridge hostnet-demo senders4 { \"tap_a1b20000\" . AA:FC:A1:B2:00:02 . 172.16.0.2 comment \"hostnet-a0ef:demo:vm:a1b20000:rules:0\" }'
ip link set 'hostnet-a6ad:demo:vm:a1b20000:tap:0' master 'hostnet-2492:demo:net:default:bridge:0'
ip link set 'hostnet-a6ad:demo:vm:a1b20000:tap:0' type bridge_slave isolated on
ip link set 'hostnet-a6ad:demo:vm:a1b20000:tap:0' up
"
    );

    host.apply(&plan).await?;
    let teardown = teardown(&subjects(&desired(1)), &host.observe().await?)?;
    assert_eq!(
        teardown.to_string(),
        "\
nft 'delete element inet hostnet-demo forward4 { tcp . 22001 }'
ip link del 'hostnet-a6ad:demo:vm:a1b20000:tap:0'
ip link del 'hostnet-2492:demo:net:default:bridge:0'
nft 'delete element inet hostnet-demo networks4 { 172.16.0.0/16 }'
nft 'delete element inet hostnet-demo masquerade4 { 172.16.0.0/16 }'
nft 'delete element bridge hostnet-demo senders { \"tap_a1b20000\" . AA:FC:A1:B2:00:02 }'
nft 'delete element bridge hostnet-demo senders4 { \"tap_a1b20000\" . AA:FC:A1:B2:00:02 . 172.16.0.2 }'
nft 'delete table inet hostnet-demo'
nft 'delete table bridge hostnet-demo'
"
    );
    Ok(())
}
