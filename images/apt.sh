#!/bin/sh
#
# images/apt.sh - packages of any release through a private state of apt.
#
# The machine's own package sources are used with another suite put in, so no host is
# named here; lists, caches and the (empty) package status are private, so the machine's own
# packages are neither asked nor changed. apt checks every signature and every hash.
#
# Interface:
#   apt.sh host                               the suite of this machine, e.g. bookworm
#   apt.sh next                               the suite after it
#   apt.sh has      SUITE PKG                 exit 0 if the suite has that package
#   apt.sh deps     SUITE PKG...              "name version" of the packages and what they need
#   apt.sh download SUITE DIR PKG...          the packages and what they need, into DIR/*.deb
#   apt.sh fetch    SUITE DIR PKG...          only the packages named
#   apt.sh extract  ROOT FILE.deb...          unpack packages below the folder ROOT
#   apt.sh source   SUITE DIR PKG FILE SHA256 from the source package PKG fetch the one archive
#                                             FILE (a shell pattern such as 'zlib_*.orig.tar.*')
#                                             into DIR and refuse it unless its SHA-256 is that;
#                                             prints the path. SUITE may be "host" or "next".
# State:   ${IBRIK_CACHE:-${XDG_CACHE_HOME:-~/.cache}/ibrik}/apt/SUITE; one user of a suite at a time.
# Errors:  one line on standard error, exit 1. Needs no root.
set -eu

die() { echo "ibrik: $*" >&2; exit 1; }

host_suite() {
	[ -r /etc/os-release ] || die "cannot tell this machine's release: /etc/os-release is missing"
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ -n "$suite" ] || die "cannot tell this machine's release: no VERSION_CODENAME in /etc/os-release"
	echo "$suite"
}

next_suite() {
	case $(host_suite) in
	bullseye) echo bookworm ;;
	bookworm) echo trixie ;;
	trixie) echo forky ;;
	*) die "the release after $(host_suite) is not known" ;;
	esac
}

cache=${IBRIK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ibrik}

# The machine's configuration (proxies, credentials), without hooks meant for its own packages.
write_conf() {
	{
		apt-config dump | grep -v -i -E '^(dpkg|apt::update|apt::architectures|apt::periodic|apt::neverautoremove|rpm|unattended-upgrade|dir|acquire::indextargets::deb::dep-11)\b'
		cat <<-END
		Dir "/";
		Dir::State "$state/lib";
		Dir::State::status "$state/status";
		Dir::State::lists "$state/lists";
		Dir::Cache "$state/cache";
		Dir::Etc "/etc/apt";
		Dir::Etc::sourcelist "$state/suite.list";
		Dir::Etc::sourceparts "$state/none.d";
		Dir::Etc::preferences "$state/none";
		Dir::Etc::preferencesparts "$state/none.d";
		Dir::Etc::main "$state/none";
		Dir::Etc::parts "$state/none.d";
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Sandbox::User "root";
		APT::Install-Recommends "false";
		APT::Install-Suggests "false";
		APT::Get::Assume-Yes "true";
		Acquire::Languages "none";
		Acquire::Retries "3";
		END
	} > "$state/apt.conf"
}

# The lines of the host's sources that belong to its release, for another suite.
write_sources() {
	host=$(host_suite)
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
	while read -r uri release component; do
		case $release in
		"$host" | "$host"-security | "$host"-updates) ;;
		*) continue ;;
		esac
		echo "deb $uri $suite${release#"$host"} $component"
		echo "deb-src $uri $suite${release#"$host"} $component"
	done | sort -u > "$state/suite.list"
	[ -s "$state/suite.list" ] || die "this machine has no package source for its own release $host"
}

update() {
	apt-get -q update > "$state/update.log" 2>&1 && touch "$state/updated" && return
	[ -e "$state/updated" ] && return # offline: what the lists say may still be fetched
	die "cannot read the package lists of $suite: $(grep -m1 '^[EW]:' "$state/update.log" || tail -n1 "$state/update.log")"
}

# Lists younger than a day are good enough; a fetch that fails renews them.
open_suite() {
	case $1 in
	host) suite=$(host_suite) ;;
	next) suite=$(next_suite) ;;
	*) suite=$1 ;;
	esac
	state=$cache/apt/$suite
	mkdir -p "$state/lib" "$state/none.d" "$state/lists/partial" "$state/cache/archives/partial" || die "cannot write to $state"
	exec 8> "$state/lock"
	flock 8
	: > "$state/status"
	write_conf
	write_sources
	export APT_CONFIG="$state/apt.conf"
	if [ -z "$(find "$state/updated" -mmin -1440 2> /dev/null)" ]; then update; fi
}

# Lines "Inst name (version ...": what apt would install on an empty machine.
resolve() {
	apt-get -s install "$@" 2> "$state/resolve.log" | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' | sort > "$state/resolved"
	[ -s "$state/resolved" ] || die "$suite: $(grep -m1 '^E:' "$state/resolve.log" || echo "cannot resolve $*")"
	cat "$state/resolved"
}

# apt-get download writes to the current folder and skips what is there already and whole.
fetch() {
	dir=$1
	shift
	mkdir -p "$dir"
	(cd "$dir" && apt-get -q download "$@") > "$state/fetch.log" 2>&1 && return
	touch -d '2 days ago' "$state/updated"
	update
	(cd "$dir" && apt-get -q download "$@") > "$state/fetch.log" 2>&1 && return
	die "$suite: $(grep -m1 '^E:' "$state/fetch.log" || echo "cannot fetch $*")"
}

fetch_source() {
	dir=$1 package=$2 pattern=$3 sum=$4
	mkdir -p "$dir"
	for file in "$dir"/$pattern; do
		[ -f "$file" ] && echo "$sum  $file" | sha256sum -c --status 2> /dev/null && { echo "$file"; return; }
	done
	# Each repository by itself: a mirror may list a file under one and hold it under another.
	rm -rf "$state/source"
	: > "$state/source.log"
	mkdir -p "$state/source"
	found=
	grep '^deb-src ' "$state/suite.list" | sort -k3 > "$state/sources"
	while read -r line; do
		echo "$line" > "$state/one.list"
		apt-get -q source --print-uris -o Dir::Etc::sourcelist="$state/one.list" "$package" 2>> "$state/source.log" |
			tr -d "'" > "$state/uris" || continue
		while read -r uri name rest; do
			case $name in $pattern) ;; *) continue ;; esac
			found=$name
			/usr/lib/apt/apt-helper download-file "$uri" "$state/source/$name" "SHA256:$sum" >> "$state/source.log" 2>&1 && break 2
		done < "$state/uris"
	done < "$state/sources"
	[ -n "$found" ] || die "$suite: no source package $package with a file $pattern"
	if ! [ -f "$state/source/$found" ]; then
		is=$(sed -n '/received file/,$s/.* SHA256:\([0-9a-f]*\).*/\1/p' "$state/source.log" | head -n1)
		[ -z "$is" ] || die "$found has SHA-256 $is, expected $sum"
		die "$suite: $(grep -m1 '^E:' "$state/source.log" || echo "cannot fetch $found")"
	fi
	mv "$state/source/$found" "$dir/$found"
	echo "$dir/$found"
}

usage() { die "usage: apt.sh host|next|has|deps|download|fetch|extract|source ... (see the head of the file)"; }

[ $# -ge 1 ] || usage
command=$1
shift
case $command in
host) host_suite ;;
next) next_suite ;;
has)
	[ $# -eq 2 ] || usage
	open_suite "$1"
	apt-cache show "$2" 2> /dev/null | grep -q "^Package: $2\$" ;;
deps)
	[ $# -ge 2 ] || usage
	open_suite "$1"
	shift
	resolve "$@" ;;
download)
	[ $# -ge 3 ] || usage
	open_suite "$1"
	dir=$2
	shift 2
	resolve "$@" > /dev/null
	# shellcheck disable=SC2046 # names hold no blanks
	fetch "$dir" $(cut -d' ' -f1 "$state/resolved") ;;
fetch)
	[ $# -ge 3 ] || usage
	open_suite "$1"
	dir=$2
	shift 2
	fetch "$dir" "$@" ;;
extract)
	[ $# -ge 2 ] || usage
	root=$1
	shift
	mkdir -p "$root"
	for deb in "$@"; do
		dpkg-deb -x "$deb" "$root" || die "cannot unpack $deb"
	done ;;
source)
	[ $# -eq 5 ] || usage
	open_suite "$1"
	shift
	fetch_source "$@" ;;
*) usage ;;
esac
