// The start page: only who is signed in is not fixed.

import { showWho } from "./who.js";

showWho();
