// A page whose text is there already.

import { page } from "./api.js";
import { projects } from "./page.js";

projects().catch(() => {});
page.ready = "yes";
