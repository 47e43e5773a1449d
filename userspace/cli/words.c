// SPDX-License-Identifier: GPL-2.0-or-later
#include "words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"

/* As label() in render.c makes them of the members' names. */
static const char *const labels[] = {
	N_("Acknowledged"), N_("Acknowledged by"), N_("Alarms"), N_("Attestation"),
	N_("Attestation certificate"), N_("Auth failures"), N_("Authorities"), N_("Authority"),
	N_("Autoopen"), N_("Autostart"), N_("Base images"), N_("Bundle"), N_("CA"), N_("CA certificates"),
	N_("Cached"), N_("Can change"), N_("Cause"), N_("Cause text"), N_("Certificate days left"),
	N_("Changed"), N_("Checks"), N_("Cleared"), N_("Client certificate"), N_("Cluster"), N_("Code"),
	N_("Config dir"), N_("Crypto state"), N_("Days left"), N_("Default"), N_("DEKs"), N_("Details"),
	N_("Device"), N_("Disks"), N_("dm-crypt flags"), N_("Done"), N_("EK"), N_("Element"),
	N_("Endorsement keys"), N_("Entity"), N_("Error"), N_("Events"), N_("File system"),
	N_("Fingerprint"), N_("Free"), N_("Generation"), N_("Hash"), N_("Hint"), N_("History"), N_("Home"),
	N_("Host"), N_("ID"), N_("Images"), N_("Imported"), N_("In use"), N_("Issuer"), N_("Job"),
	N_("Jobs pending"), N_("KCV"), N_("KEKs"), N_("KEKs fetched"), N_("Kernel"), N_("Key"),
	N_("Key error"), N_("Key hint"), N_("Key provider"), N_("Key provider certificate"),
	N_("Key providers"), N_("Key state"), N_("Keys"), N_("Kind"), N_("KMS"), N_("Label"),
	N_("Last attested"), N_("Last host"), N_("Latency"), N_("Lease"), N_("Lease ends"), N_("Lease left"),
	N_("Loaded"), N_("Loads"), N_("LUKS UUID"), N_("Macs"), N_("Migration"), N_("Missing keys"),
	N_("Module"), N_("Mount"), N_("Mounted"), N_("Name"), N_("Netlink"), N_("New"), N_("Not after"),
	N_("Note"), N_("Object"), N_("Ok"), N_("Old"), N_("Open"), N_("OS"), N_("Path"), N_("PCR"),
	N_("PCRs"), N_("Pins"), N_("Port"), N_("Power"), N_("Principals"), N_("Protocol"), N_("Provider"),
	N_("Providers"), N_("Quick boot"), N_("Quick boot hosts"), N_("Raised"), N_("Reachable"),
	N_("Remedy"), N_("Require EK certificate"), N_("Rewraps"), N_("Role"), N_("Second key"),
	N_("Secure boot"), N_("Self signed"), N_("Serial"), N_("Servers"), N_("Severity"), N_("SHA256"),
	N_("Shows as"), N_("Size"), N_("State"), N_("State dir"), N_("State error"), N_("Stats"),
	N_("Status"), N_("Subject"), N_("Text"), N_("Time"), N_("TLS min"), N_("Token key"),
	N_("Token lifetime"), N_("Total"), N_("Trust"), N_("Trusted"), N_("Type"), N_("Unit"),
	N_("Username"), N_("Users"), N_("Vendor"), N_("Verdict"), N_("Version"), N_("VM ID"), N_("VMs"),
	N_("Volume"), N_("Volumes"), N_("Warnings"), N_("Wrap cipher"), N_("Wraps"),
};

/* What is said of power, keys, alarms and authorities. */
static const char *const values[] = {
	N_("active"), N_("cleared"), N_("closed"), N_("critical"), N_("degraded"), N_("disk-key-missing"),
	N_("done"), N_("drifted"), N_("failed"), N_("healthy"), N_("in step"), N_("inactive"), N_("invalid"),
	N_("locked"), N_("missing"), N_("not configured"), N_("not-configured"), N_("off"), N_("ok"),
	N_("on"), N_("open"), N_("pending"), N_("raised"), N_("remediated"), N_("running"), N_("suspended"),
	N_("to be upgraded"), N_("unknown"), N_("unlocked"), N_("unreachable"), N_("warning"),
};

/* Members whose values are such words. Others hold names, which may look like one. */
static const char *const keys[] = {
	"crypto_state", "key_state", "power", "result", "severity", "shows_as", "state", "status",
};

static bool listed(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], word))
			return true;
	return false;
}

const char *words_label(const char *label)
{
	return listed(labels, ARRAY_SIZE(labels), label) ? _(label) : label;
}

const char *words_value(const char *key, const char *text)
{
	char name[64];
	size_t len;

	if (!listed(values, ARRAY_SIZE(values), text))
		return text;
	do {
		len = strcspn(key, "|");
		snprintf(name, sizeof(name), "%.*s", (int)len, key);
		if (listed(keys, ARRAY_SIZE(keys), name))
			return _(text);
		key += len;
	} while (*key++);
	return text;
}
