// Administers an organization with the official client, and proves by the document of the server that every answer is as
// the document says. `by_route.mjs` proves that no operation is left out. After `npm ci` in `tests/clients`:
//
//     OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… \
//     ORGPLANE_TEST_PRICES='{"gpt-5.5": {"input": "1.25", "cached_input": "0.125", "output": "10.00"}}' \
//     ORGPLANE_TEST_CERTIFICATES='["-----BEGIN CERTIFICATE-----…", …]' \
//     node every_operation.mjs
//
// The organization must be new: its owner and six people who accepted an invitation, nothing else. The prices are those of
// the server; the certificates are of four authorities. Ends with 0 when everything holds; else names the first thing that
// does not.

import { adminKeys } from "./admin_keys.mjs";
import { auditLogs } from "./audit_logs.mjs";
import { certificates } from "./certificates.mjs";
import { finish } from "./finish.mjs";
import { groupUsers, groups, projectGroups } from "./groups.mjs";
import { invites, projectUsers, users } from "./people.mjs";
import { projects } from "./projects.mjs";
import { refusals } from "./refusals.mjs";
import { organizationRoles, projectRoles } from "./roles.mjs";
import { Run } from "./run.mjs";
import { keys, serviceAccounts } from "./service_accounts.mjs";
import { dataRetention, hostedTools, modelPermissions, rateLimits } from "./settings.mjs";
import { spend } from "./spend.mjs";
import { usage } from "./usage.mjs";

/** Step by step, in the order in which one thing needs another. */
async function everyOperation() {
  const run = await Run.start();
  const project = await projects(run);
  const account = await serviceAccounts(run, project);
  const key = await keys(run, project, account);
  await adminKeys(run);

  await invites(run, project);
  await users(run);
  const member = await projectUsers(run, project);
  const some = await groups(run);
  await groupUsers(run, some[0]);
  await projectGroups(run, project, some);
  await organizationRoles(run, some[0]);
  await projectRoles(run, project, member, some[0]);

  await certificates(run, project);
  await spend(run, project);
  await dataRetention(run, project);
  await modelPermissions(run, project);
  await hostedTools(run, project);
  await rateLimits(run, project);
  await usage(run, project, key);
  await refusals(run, project);
  await auditLogs(run, project);
}

await finish(everyOperation);
