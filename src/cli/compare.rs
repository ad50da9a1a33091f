//! `turnbell compare`: the same questions to two servers, and what it means where the answers differ.

mod asking;
mod probes;
mod verdict;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail};
use clap::Args;

use self::asking::Server;
use self::probes::{Logins, Probe};
use self::verdict::{Meaning, meaning};

#[derive(Debug, Args)]
#[command(after_help = "\
Run it before clients are moved: the old server on its port, the new one on another port or machine.
Nothing is relayed; each allocation is given back. About 30 questions: Binding, credentials right and
wrong, allocations of both families, permissions, channels, TCP, TLS and its protocols. Use an account
that nobody needs just then: coturn counts an allocation for 20 s after it was given back.

Examples:
  turnbell compare --old turn.example.org:3478 --new 127.0.0.1:3479 --user alice:wonderland-17
  turnbell compare --old old:3478 --new new:3478 --secret-file /etc/turnbell/secret --new-tls new:443
  turnbell compare --old old:3478 --new new:3478 --user alice:wonderland-17 --peer 83.166.64.9

Exit code 1 if something is missing here or could not be compared.")]
pub(super) struct Compare {
    /// The server that runs today
    #[arg(long, value_name = "HOST:PORT")]
    old: String,
    /// turnbell
    #[arg(long, value_name = "HOST:PORT")]
    new: String,
    /// Where the old one speaks TLS [default: its host at port 5349]
    #[arg(long, value_name = "HOST:PORT")]
    old_tls: Option<String>,
    /// Where turnbell speaks TLS [default: its host at port 5349]
    #[arg(long, value_name = "HOST:PORT")]
    new_tls: Option<String>,
    /// A static account of both
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// The shared secret of both; others on this machine may see it, --secret-file is safer
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    secret: Option<String>,
    /// A file with the shared secret in its first line
    #[arg(long, value_name = "FILE")]
    secret_file: Option<std::path::PathBuf>,
    /// A peer of your own lists that is asked about, too; several are possible
    #[arg(long, value_name = "ADDRESS")]
    peer: Vec<IpAddr>,
}

impl Compare {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let logins = self.logins()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut old = server(&self.old, self.old_tls.as_deref()).await?;
            let mut new = server(&self.new, self.new_tls.as_deref()).await?;
            let is_there = tokio::join!(old.is_there(&logins), new.is_there(&logins));
            for (is_there, option, at) in
                [(is_there.0, "--old", &self.old), (is_there.1, "--new", &self.new)]
            {
                if !is_there {
                    bail!(
                        "nothing answers at {at}, neither over UDP nor over TCP; is it running, and \
                         is that its port? {option} names it"
                    );
                }
            }
            let mut alike = 0;
            let mut different = Vec::new();
            for probe in probes::all(&logins, &self.peer) {
                let (there, here) = tokio::join!(old.ask(probe, &logins), new.ask(probe, &logins));
                match meaning(probe, &there, &here) {
                    Some((meaning, text)) => different.push((probe, there, here, meaning, text)),
                    None => alike += 1,
                }
            }
            tokio::join!(old.leave(), new.leave());
            super::print(&shown(&different, alike))?;
            let count = |of| different.iter().filter(|(.., meaning, _)| *meaning == of).count();
            match (count(Meaning::Missing), count(Meaning::Unknown)) {
                (0, 0) => Ok(()),
                (0, unknown) => bail!("{unknown} answers could not be compared"),
                (missing, _) => bail!("{missing} answers of the old server are missing here"),
            }
        })
    }

    fn logins(&self) -> anyhow::Result<Logins> {
        let user = match self.user.as_deref().map(|user| user.split_once(':')) {
            Some(None) => bail!("--user must be NAME:PASSWORD"),
            Some(Some((name, password))) => Some((name.to_owned(), password.to_owned())),
            None => None,
        };
        let secret = match &self.secret_file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("{} cannot be read", file.display()))?;
                let mut lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
                lines.find(|line| !line.is_empty()).map(str::to_owned)
            }
            None => self.secret.clone(),
        };
        if user.is_none() && secret.is_none() {
            super::note("without --user or --secret only what needs no login is compared");
        }
        Ok(Logins { user, secret: secret.map(crate::auth::secret::Secret::new) })
    }
}

type Different = (Probe, Result<String, String>, Result<String, String>, Meaning, &'static str);

fn shown(different: &[Different], alike: usize) -> String {
    let mut text = String::new();
    for meaning in
        [Meaning::Missing, Meaning::Unknown, Meaning::Safer, Meaning::More, Meaning::Same]
    {
        for (probe, there, here, _, why) in different.iter().filter(|(.., of, _)| *of == meaning) {
            let words = |answer: &Result<String, String>| match answer {
                Ok(said) | Err(said) => said.clone(),
            };
            text.push_str(&format!(
                "{meaning}: {probe}\n  old: {}\n  new: {}\n  {why}\n",
                words(there),
                words(here)
            ));
        }
    }
    text.push_str(&format!("{alike} answers alike, {} different\n", different.len()));
    text
}

async fn server(plain: &str, tls: Option<&str>) -> anyhow::Result<Server> {
    let plain = address(plain).await?;
    let tls = match tls {
        Some(tls) => address(tls).await?,
        None => SocketAddr::new(plain.ip(), 5349),
    };
    Ok(Server::new(plain, tls))
}

async fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let found = tokio::net::lookup_host(text).await;
    let mut found = found.with_context(|| format!("{text} must be HOST:PORT"))?;
    found.next().with_context(|| format!("{text} has no address"))
}
