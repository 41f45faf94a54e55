//! How many look-ups and routes a second, against a real server, and what known chains cost in
//! memory: `cargo run --release -p distpos-resolver --example lookup_rate [CHAINS [KNOWN]]`. Needs
//! `named`, `dnssec-keygen` and `dnssec-signzone` (Debian: `bind9`, `bind9-utils`). Prints one JSON
//! line.
//!
//! `CHAINS` (10,000) chains with a gateway, a policy and a key each are served by a `named` on
//! loopback that runs on the same processors; 256 routes are asked for at once. A route that is not
//! kept takes three look-ups. Then `KNOWN` (1,000,000) chains from a zone that takes no time.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use distpos_proto::{
    chain::{ChainId, Family, GenesisTag},
    key::{SecretKey, SpkiPin},
    record::{GatewayRecord, HostName, KeyRecord, Mode, PolicyRecord},
    time::UnixMillis,
};
use distpos_resolver::{
    AddressAnswer, Clock, HickoryLookup, Lookup, LookupError, Options, Resolve, Resolver, Security,
    TrustAnchors, TxtAnswer,
};
use futures_util::{StreamExt, stream};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

type Failure = Box<dyn Error + Send + Sync>;

const ZONE: &str = "chains.test";
const AT_ONCE: usize = 256;
/// How long what is kept is asked for.
const TIME: Duration = Duration::from_secs(2);

fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let chains: u128 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let known: u128 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let directory = tempfile::tempdir()?;
    let (mut named, address, anchors) = serve(directory.path(), chains)?;
    let measured = runtime.block_on(async {
        let plain = measure(HickoryLookup::new(&[address], None)?, chains).await?;
        let validated = measure(HickoryLookup::new(&[address], Some(anchors))?, chains).await?;
        Ok::<_, Failure>((plain, validated))
    });
    named.kill()?;
    named.wait()?;
    let (plain, validated) = measured?;
    let bytes = runtime.block_on(memory(known))?;
    println!(
        "{{\"chains\":{chains},\"at_once\":{AT_ONCE},\"plain\":{plain},\"validated\":{validated},\
         \"known\":{known},\"bytes_each\":{bytes}}}"
    );
    Ok(())
}

fn chain(number: u128) -> Result<ChainId, Failure> {
    ChainId::from_number(number + 1).ok_or_else(|| "no chain has the number 0".into())
}

fn resolver<L: Lookup>(lookup: L, chains: u128) -> Result<Resolver<L>, Failure> {
    let clock: Clock = Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    });
    let roots: Vec<HostName> = vec![ZONE.parse()?];
    let options = Options { roots, chains_max: usize::try_from(chains)?, ..Options::default() };
    Ok(Resolver::new(lookup, options, clock, Box::new(ChaCha8Rng::seed_from_u64(1))))
}

/// Every chain once, and then again and again.
async fn measure(lookup: HickoryLookup, chains: u128) -> Result<String, Failure> {
    let resolver = resolver(lookup, chains)?;
    let start = Instant::now();
    let failed = stream::iter(0..chains)
        .map(|number| {
            let resolver = &resolver;
            async move { resolver.route(chain(number)?).await.map_err(Failure::from) }
        })
        .buffer_unordered(AT_ONCE)
        .filter(|route| std::future::ready(route.is_err()))
        .count()
        .await;
    let seconds = start.elapsed().as_secs_f64();
    if failed > 0 {
        return Err(format!("{failed} of {chains} routes failed").into());
    }
    let uncached = f64::from(u32::try_from(chains)?) / seconds;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        for number in 0..chains.min(1_000) {
            resolver.route(chain(number)?).await?;
            count += 1;
        }
    }
    let cached = f64::from(count) / start.elapsed().as_secs_f64();
    Ok(format!(
        "{{\"lookups_per_second\":{:.0},\"routes_per_second\":{uncached:.0},\
         \"cached_routes_per_second\":{cached:.0}}}",
        uncached * 3.0
    ))
}

/// Bytes of memory for each chain that is known.
async fn memory(known: u128) -> Result<u64, Failure> {
    let resolver = resolver(Everybody, known)?;
    let before = resident()?;
    for number in 0..known {
        resolver.route(chain(number)?).await?;
    }
    let after = resident()?;
    // Still there, all of them.
    resolver.route(chain(0)?).await?;
    Ok(u64::try_from(u128::from(after.saturating_sub(before)) / known.max(1))?)
}

/// What the process occupies, in bytes.
fn resident() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib * 1_024)
}

/// A zone in which every chain is, and which takes no time.
struct Everybody;

#[async_trait]
impl Lookup for Everybody {
    async fn txt(&self, name: &str) -> Result<TxtAnswer, LookupError> {
        let labels: Vec<&str> = name.split('.').collect();
        let at = labels.iter().position(|label| *label == "_distpos").unwrap_or(0);
        let chain: ChainId = labels[at + 1]
            .parse()
            .map_err(|_| LookupError::Temporary(distpos_resolver::LookupFailure::Name))?;
        let text = match labels[0] {
            "_distpos" => gateway(chain),
            "_policy" => policy(chain),
            _ => key(chain),
        };
        let records = vec![text.into_bytes()];
        Ok(TxtAnswer { records, ttl: 3_600, secure: Security::Secure })
    }

    async fn addresses(&self, _name: &str) -> Result<AddressAnswer, LookupError> {
        let addresses = vec![IpAddr::from([9, 9, 9, 9])];
        Ok(AddressAnswer { addresses, ttl: 3_600, secure: Security::Secure })
    }
}

fn gateway(chain: ChainId) -> String {
    let host = format!("gw1.{chain}.{ZONE}");
    host.parse().map_or_else(
        |_| String::new(),
        |host| GatewayRecord::new(chain, host, SpkiPin([7; 32])).to_string(),
    )
}

fn key(chain: ChainId) -> String {
    KeyRecord::new(chain, Some(SecretKey::from_seed(&[7; 32]).public())).to_string()
}

fn policy(chain: ChainId) -> String {
    let policy = PolicyRecord {
        chain,
        id: "2026112601".into(),
        mode: Mode::Enforce,
        pin_for: Duration::from_hours(24 * 7),
        family: Family::Ledger,
        genesis: GenesisTag([1; 8]),
        outbox: None,
        confirmations: 0,
        selectors: "k20261126".parse().into_iter().collect(),
        threshold: 1,
    };
    policy.to_string()
}

/// `named` over a signed zone of so many chains, and the keys that it is trusted by.
fn serve(directory: &Path, chains: u128) -> Result<(Child, SocketAddr, TrustAnchors), Failure> {
    let mut zone = String::from(
        "$TTL 3600\n@ IN SOA ns admin 1 3600 600 86400 300\n@ IN NS ns\nns IN A 127.0.0.1\n",
    );
    for number in 0..chains {
        let chain = chain(number)?;
        writeln!(zone, "_distpos.{chain} IN TXT \"{}\"", gateway(chain))?;
        writeln!(zone, "_policy._distpos.{chain} IN TXT \"{}\"", policy(chain))?;
        writeln!(zone, "k20261126._key._distpos.{chain} IN TXT \"{}\"", key(chain))?;
    }
    fs::write(directory.join(ZONE), zone)?;
    let algorithm = ["-q", "-a", "ECDSAP256SHA256"];
    run(directory, "dnssec-keygen", &[&algorithm[..], &["-f", "KSK", ZONE]].concat())?;
    run(directory, "dnssec-keygen", &[&algorithm[..], &[ZONE]].concat())?;
    run(directory, "dnssec-signzone", &["-q", "-P", "-S", "-o", ZONE, ZONE])?;
    let mut keys = String::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "key") {
            keys.push_str(&fs::read_to_string(path)?);
        }
    }
    let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let (at, port) = (directory.display(), address.port());
    let conf = format!(
        "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
         dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         allow-query {{ any; }}; }};\ncontrols {{ }};\n\
         zone \"{ZONE}\" {{ type primary; file \"{ZONE}.signed\"; }};\n"
    );
    fs::write(directory.join("named.conf"), conf)?;
    let mut named = Command::new("named")
        .args(["-g", "-c"])
        .arg(directory.join("named.conf"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let log = named.stderr.take().ok_or("named has no log")?;
    let mut lines = BufReader::new(log).lines();
    for line in lines.by_ref() {
        if line?.ends_with(" running") {
            std::thread::spawn(move || lines.for_each(drop));
            return Ok((named, address, TrustAnchors::parse(&keys)?));
        }
    }
    Err("named did not come up".into())
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let done = Command::new(program).args(arguments).current_dir(directory).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr)).into())
}
