/** Where an address is. Needs `[needs] geoip = true`. */

import * as wit from "trellis:plugin/geoip@0.1.0";
import { told } from "./host.js";

export type { Location } from "trellis:plugin/geoip@0.1.0";

export const geoip = {
  lookup: told("geoip", wit.lookup),
  lookupMany: told("geoip", wit.lookupMany),
};
